"""Decide which files of functions/ are shipped: neither the tests nor the test kit, which are beside the code."""

from pathlib import Path

KIT = Path("nightshift/testing")


def is_for_tests(path: Path) -> bool:
    """Return whether only tests use this file or folder. ``path`` is relative to the folder that is shipped."""
    return path.is_relative_to(KIT) or path.match("test_*.py")
