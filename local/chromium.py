"""The Chromium that the dashboard's tests look through."""

import os
import shutil
from pathlib import Path

COMMANDS = ("chromium", "chromium-browser", "google-chrome")


# Where Playwright puts its own build (PLAYWRIGHT_BROWSERS_PATH).
FOLDER = Path(".venv/browser")


def find() -> str | None:
    """Return the path that NIGHTSHIFT_CHROMIUM gives, or that of a command on PATH, or of the build in FOLDER."""
    if named := os.environ.get("NIGHTSHIFT_CHROMIUM"):
        return named
    builds = sorted(FOLDER.absolute().glob("chromium-*/chrome-linux*/chrome"), reverse=True)
    return next(filter(None, (*map(shutil.which, COMMANDS), *map(str, builds))), None)
