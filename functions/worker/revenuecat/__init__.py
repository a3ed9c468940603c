"""RevenueCat's REST API v2: asking it politely, and what its answers mean for a user."""
