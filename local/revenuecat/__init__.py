"""A stand-in for RevenueCat's REST API v2, for tests, measurements and a machine without an account."""
