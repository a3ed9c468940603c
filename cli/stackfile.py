"""The file in which `make run` keeps what opens the local stack; one that others could have written is passed over."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from cli.errors import Misconfigured

STACK_FILE = Path(".local", "stack.json")
LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}

Note = Callable[[str], None]


def find_stack(folder: Path, *, note: Note) -> dict[str, Any]:
    """The texts in the nearest stack file at or above ``folder``, its own path as ``file``; {} when there is none.

    Files that are not the caller's alone are passed over, which ``note`` is told in a sentence.
    Raises Misconfigured for a file that is no stack's, and for addresses that are not on this machine.
    """
    for file, content in _own_files(folder, note=note):
        try:
            stack = {name: value for name, value in json.loads(content).items() if isinstance(value, str)}
            hosts = {name: parse_url(stack[name]).host for name in ("api_url", "aws_endpoint_url") if name in stack}
        except (ValueError, AttributeError, RecursionError, LocationParseError) as exc:
            raise Misconfigured(f"{file} is not a stack file. Start the local stack again with `make run`.") from exc
        # A file that came with a folder must not decide where the caller's secrets are sent.
        for name, host in hosts.items():
            if host not in LOOPBACK:
                kind, instead = ("API", "Set NIGHTSHIFT_API_URL") if name == "api_url" else ("AWS", "Give --stack NAME")
                raise Misconfigured(f"{file} names an {kind} that is not on this machine. {instead} instead.")
        return stack | {"file": str(file)}
    return {}


def _own_files(folder: Path, *, note: Note) -> Iterator[tuple[Path, bytes]]:
    """The nearest first."""
    for place in (folder, *folder.parents):
        file = place / STACK_FILE
        try:
            # Not waiting: what has this name may be a pipe.
            with os.fdopen(os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as opened:
                states = [os.fstat(opened.fileno()), file.parent.stat(), file.resolve().parent.stat()]
                fault = _fault(states)
                content = b"" if fault else opened.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, RuntimeError) as exc:  # a circle of links is the latter
            fault = f"it cannot be read ({getattr(exc, 'strerror', None) or exc})"
        if fault:
            note(f"Ignored {file}: {fault}. Only a file that you alone can write says where the local stack is.")
        else:
            yield file, content


def _fault(states: list[os.stat_result]) -> str | None:
    """Why the file, the first of ``states``, or one of the folders after it is not to be trusted."""
    if not stat.S_ISREG(states[0].st_mode):
        return "it is not a file"
    if os.name != "posix":
        return None
    for kind, state in zip(("it", "its folder", "its folder"), states, strict=True):
        if state.st_uid != os.geteuid():
            return f"{kind} belongs to another user"
        if state.st_mode & 0o022:
            return f"others may write {kind} (mode {stat.S_IMODE(state.st_mode):o})"
    return None
