"""The sign-ins that `nightshift login` stores: API, token and team, in one private file per profile."""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nightshift_cli.base.choices import some
from nightshift_cli.base.failures import Misconfigured

DEFAULT = "default"


def file_of(profile: str, environ: Mapping[str, str]) -> Path:
    """Return $XDG_CONFIG_HOME/nightshift/<profile>.json, or ~/.config/nightshift/<profile>.json.

    Raise Misconfigured for an invalid profile name.
    """
    if not re.fullmatch(r"[\w-]+", profile, re.ASCII):
        raise Misconfigured(f"Invalid profile name {profile!r}: use letters, digits, - and _.")
    # A relative path must be ignored: https://specifications.freedesktop.org/basedir-spec
    home = Path(environ.get("XDG_CONFIG_HOME", ""))
    try:
        return (home if home.is_absolute() else Path.home() / ".config") / "nightshift" / f"{profile}.json"
    except RuntimeError as exc:
        raise Misconfigured("Cannot store a sign-in: no home directory. Set XDG_CONFIG_HOME.") from exc


def read(profile: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``api_url``, ``token`` and ``team`` (an id); {} if the profile has no sign-in.

    Raise Misconfigured if others can read the file, or if it is malformed.
    """
    file = file_of(profile, environ)
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode & 0o777
            content = opened.read()
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise Misconfigured(f"{file} cannot be read: {exc.strerror}.") from exc
    if os.name == "posix" and mode & 0o077:
        raise Misconfigured(
            f"{file} holds a token, and other users of this machine can read it (mode {mode:o}). Run "
            f"`chmod 600 {file}`, or sign in again with another token."
        )
    try:
        kept = {name: json.loads(content)[name] for name in ("api_url", "token", "team")}
    except (ValueError, TypeError, KeyError):
        kept = {}
    if not kept or not all(isinstance(value, str) for value in kept.values()):
        raise Misconfigured(f"{file} is malformed. Run `nightshift login` again.")
    return kept


def known(environ: Mapping[str, str]) -> str:
    """Return a sentence, after a space, that lists the profiles with a sign-in; "" if there are none."""
    names = sorted(file.stem for file in file_of(DEFAULT, environ).parent.glob("*.json"))
    return f" Profiles with a sign-in: {some(names)}." if names else ""


def write(profile: str, content: Mapping[str, str], environ: Mapping[str, str]) -> Path:
    """Write the file atomically, readable only by its owner from the start. Raise Misconfigured if that fails."""
    file = file_of(profile, environ)
    half_done = None
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp creates files that only their owner can read.
        descriptor, half_done = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(descriptor, "w") as opened:
            json.dump(dict(content), opened, indent=2)
            opened.write("\n")
        Path(half_done).replace(file)
    except OSError as exc:
        if half_done:
            Path(half_done).unlink(missing_ok=True)
        raise Misconfigured(f"{file} cannot be written: {exc.strerror}.") from exc
    return file


def forget(profile: str, environ: Mapping[str, str]) -> Path | None:
    """Delete the profile's file and return its path, or None if there was none. Raise Misconfigured on failure."""
    file = file_of(profile, environ)
    try:
        file.unlink()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise Misconfigured(f"{file} cannot be deleted: {exc.strerror}.") from exc
    return file
