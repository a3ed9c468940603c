"""The file in which `make run` stores the local stack's URL and keys. Files that others can write are ignored."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from nightshift_cli.base.failures import Misconfigured

STACK_FILE = Path(".local", "stack.json")
LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}

Note = Callable[[str], None]


def find_stack(folder: Path, *, note: Note) -> dict[str, Any]:
    """Return the string values of the nearest stack file at or above ``folder``, with its path as ``file``.

    Return {} if there is none. Files that other users own or can write are ignored; ``note`` receives a sentence about
    each. Raise Misconfigured for a malformed file, and for addresses that are not on this machine.
    """
    for file, content in _own_files(folder, note=note):
        try:
            stack = {name: value for name, value in json.loads(content).items() if isinstance(value, str)}
            hosts = {name: parse_url(stack[name]).host for name in ("api_url", "aws_endpoint_url") if name in stack}
        except (ValueError, AttributeError, RecursionError, LocationParseError) as exc:
            raise Misconfigured(f"{file} is not a stack file. Start the local stack again with `make run`.") from exc
        # A file in a downloaded folder must not decide where the caller's secrets are sent.
        for name, host in hosts.items():
            if host not in LOOPBACK:
                kind, instead = ("API", "Set NIGHTSHIFT_API_URL") if name == "api_url" else ("AWS", "Pass --stack NAME")
                raise Misconfigured(f"{file} names an {kind} that is not on this machine. {instead} instead.")
        return stack | {"file": str(file)}
    return {}


def _own_files(folder: Path, *, note: Note) -> Iterator[tuple[Path, bytes]]:
    """Yield the trusted stack files, the nearest first."""
    for place in (folder, *folder.parents):
        file = place / STACK_FILE
        try:
            # O_NONBLOCK: if a pipe has this name, opening it must not wait.
            with os.fdopen(os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as opened:
                states = [os.fstat(opened.fileno()), file.parent.stat(), file.resolve().parent.stat()]
                fault = _fault(states)
                content = b"" if fault else opened.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, RuntimeError) as exc:  # RuntimeError: a loop of symbolic links
            fault = f"it cannot be read ({getattr(exc, 'strerror', None) or exc})"
        if fault:
            note(f"Ignored {file}: {fault}. Only a stack file that no other user can write is used.")
        else:
            yield file, content


def _fault(states: list[os.stat_result]) -> str | None:
    """Return why the file (the first of ``states``) or a folder after it cannot be trusted, or None."""
    if not stat.S_ISREG(states[0].st_mode):
        return "it is not a regular file"
    if os.name != "posix":
        return None
    for kind, state in zip(("it", "its folder", "its folder"), states, strict=True):
        if state.st_uid != os.geteuid():
            return f"{kind} belongs to another user"
        if state.st_mode & 0o022:
            return f"others can write {kind} (mode {stat.S_IMODE(state.st_mode):o})"
    return None
