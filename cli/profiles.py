"""What `nightshift login` keeps: an API, a token and a team, each profile in a file that its owner alone can read."""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cli.choices import some
from cli.errors import Misconfigured

DEFAULT = "default"


def file_of(profile: str, environ: Mapping[str, str]) -> Path:
    """$XDG_CONFIG_HOME/nightshift/<profile>.json, or ~/.config/nightshift/<profile>.json.

    Raises Misconfigured for a name that is no file's.
    """
    if not re.fullmatch(r"[\w-]+", profile, re.ASCII):
        raise Misconfigured(f"A profile's name has letters, digits, - and _ only, got {profile!r}.")
    # https://specifications.freedesktop.org/basedir-spec: a path that is not absolute is to be ignored.
    home = Path(environ.get("XDG_CONFIG_HOME", ""))
    try:
        return (home if home.is_absolute() else Path.home() / ".config") / "nightshift" / f"{profile}.json"
    except RuntimeError as exc:
        raise Misconfigured("There is no home directory to keep a sign-in in. Set XDG_CONFIG_HOME.") from exc


def read(profile: str, environ: Mapping[str, str]) -> dict[str, str]:
    """``api_url``, ``token`` and ``team`` (an id); {} when nobody has signed in.

    Raises Misconfigured for a file that others can read, and for one that cannot be understood.
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
            f"{file} holds a token, and others on this machine can read it (mode {mode:o}). Close it with "
            f"`chmod 600 {file}`, or sign in again with another token."
        )
    try:
        kept = {name: json.loads(content)[name] for name in ("api_url", "token", "team")}
    except (ValueError, TypeError, KeyError):
        kept = {}
    if not kept or not all(isinstance(value, str) for value in kept.values()):
        raise Misconfigured(f"{file} is not what `nightshift login` writes. Sign in again.")
    return kept


def known(environ: Mapping[str, str]) -> str:
    """A sentence that names those with a sign-in, with a blank before it; nothing where there is none."""
    names = sorted(file.stem for file in file_of(DEFAULT, environ).parent.glob("*.json"))
    return f" Profiles with a sign-in: {some(names)}." if names else ""


def write(profile: str, content: Mapping[str, str], environ: Mapping[str, str]) -> Path:
    """Private from its first byte, and never seen half written. Raises Misconfigured where it cannot be written."""
    file = file_of(profile, environ)
    half_done = None
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes files that are readable by their owner alone.
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
    """Remove it; returns the file that was there. Raises Misconfigured where it cannot be removed."""
    file = file_of(profile, environ)
    try:
        file.unlink()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise Misconfigured(f"{file} cannot be removed: {exc.strerror}.") from exc
    return file
