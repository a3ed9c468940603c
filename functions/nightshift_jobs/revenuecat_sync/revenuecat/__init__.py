"""RevenueCat's REST API v2 within its rate limit: used by the jobs that read it."""
