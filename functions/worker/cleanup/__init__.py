"""Deleting for good what was soft-deleted: how far it is, and how fast it may go."""
