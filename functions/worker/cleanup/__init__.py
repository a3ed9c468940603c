"""The state and the pace of the soft-delete cleanup."""
