"""The Chromium that the dashboard's tests look through."""

import os
import shutil
from pathlib import Path

# The same browser without its windows and menus. A new profile with a page costs it a fifth of the time.
SHELL = "chromium-headless-shell"
COMMANDS = ("chromium", "chromium-browser", "google-chrome")

# Where Playwright puts its own builds (PLAYWRIGHT_BROWSERS_PATH).
FOLDER = Path(".venv/browser")


def find() -> str | None:
    """Return the path that NIGHTSHIFT_CHROMIUM gives, or that of a Chromium without windows, or else of any."""
    return _first(
        os.environ.get("NIGHTSHIFT_CHROMIUM"),
        shutil.which(SHELL),
        *_builds("chromium_headless_shell-*/chrome-*/*headless*shell"),
        *map(shutil.which, COMMANDS),
        *_builds("chromium-*/chrome-linux*/chrome"),
    )


def _builds(pattern: str) -> list[str]:
    return sorted(map(str, FOLDER.absolute().glob(pattern)), reverse=True)


def _first(*paths: str | None) -> str | None:
    return next(filter(None, paths), None)
