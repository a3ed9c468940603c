"""A client for RevenueCat's REST API v2, and the mapping of its rows to user properties."""
