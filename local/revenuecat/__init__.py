"""A sandbox for RevenueCat's REST API v2, for tests, benchmarks and machines without a RevenueCat account."""
