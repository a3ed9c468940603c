"""Run many calls of the command line, each in a separate process with all modules imported.

For each line of standard input, which is a JSON list of ``{"arguments", "surroundings", "environment"}``, it writes a
line with a list of ``{"code", "out", "err"}``.
"""

import difflib  # noqa: F401  what is imported late must not be looked for as another user
import encodings.idna  # noqa: F401  likewise
import gc
import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import click._textwrap  # noqa: F401

import nightshift_cli.agents.tool_server
import nightshift_cli.main  # noqa: F401
from nightshift_cli.__main__ import start
from tests.support.service_models import Loader

NOBODY = 65534
botocore.loaders.Loader = Loader


def surround(name: str, folder: Path) -> None:
    """Change the command's surroundings: folder, home, streams, terminal. Without a name, keep the usual ones."""
    out, err = sys.stdout.fileno(), sys.stderr.fileno()
    match name:
        case "":
            pass
        case "a folder that is gone":
            (gone := folder / "gone").mkdir()
            os.chdir(gone)
            gone.rmdir()
        case "a folder that may not be read":
            (closed := folder / "closed" / "inner").mkdir(parents=True)
            os.chdir(closed)
            closed.parent.chmod(0)
            os.setuid(NOBODY)
        case "no home":
            os.environ.pop("HOME", None)
            os.environ.pop("XDG_CONFIG_HOME", None)
        case "a home that is a file":
            (folder / "home").write_text("")
            os.environ |= {"HOME": str(folder / "home"), "XDG_CONFIG_HOME": str(folder / "home")}
        case "a home that may not be written":
            (folder / "home").mkdir(mode=0o555)
            os.environ |= {"HOME": str(folder / "home"), "XDG_CONFIG_HOME": str(folder / "home")}
            os.setuid(NOBODY)
        case "a full disk":
            # As with quotas and full disks: files can be created, but writing bytes fails.
            os.environ |= {"XDG_CONFIG_HOME": str(folder / "config")}
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        case "a full output":
            os.dup2(os.open("/dev/full", os.O_WRONLY), out)
        case "full outputs":
            for stream in (out, err):
                os.dup2(os.open("/dev/full", os.O_WRONLY), stream)
        case "an output that is only read":
            os.dup2(os.open(os.devnull, os.O_RDONLY), out)
        case "an output that nobody reads":
            ours, theirs = os.pipe()
            os.close(ours)
            os.dup2(theirs, out)
        case "closed streams":
            for stream in ("stdin", "stdout", "stderr"):
                os.close(getattr(sys, stream).fileno())
                setattr(sys, stream, None)
        case "an ASCII terminal":
            os.environ |= {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "1", "LC_ALL": "POSIX"}
            for stream in (sys.stdout, sys.stderr):
                stream.reconfigure(encoding="ascii", errors="strict")
        case _:
            raise ValueError(name)


def run(call: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        # Pipes hold 64 KiB, more than any output here. With a file, a full disk could not report its error.
        pipes = [os.pipe(), os.pipe()]
        child = os.fork()
        if not child:
            for (_, end), number in zip(pipes, (1, 2), strict=True):
                os.dup2(end, number)
            for pipe in pipes:
                for end in pipe:
                    os.close(end)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.chdir(folder)
            sys.argv = ["nightshift", *call["arguments"]]
            os.environ |= call["environment"]
            code = 120
            try:
                for name in call["surroundings"].split(", "):
                    surround(name, Path(folder))
                start()
                code = 0
            except SystemExit as exc:
                code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
            except BaseException as exc:
                os.write(2, f"Traceback {exc!r}".encode())
            os._exit(code if _flushed() else 120)
        texts = []
        for _, theirs in pipes:
            os.close(theirs)
        for ours, _ in pipes:
            with os.fdopen(ours, "rb") as reader:
                texts.append(reader.read().decode(errors="replace"))
        _, status = os.waitpid(child, 0)
        for each in Path(folder).glob("*"):
            each.chmod(0o700)
        return {"code": os.waitstatus_to_exitcode(status), "out": texts[0], "err": texts[1]}


def _flushed() -> bool:
    """Flush as Python does at exit; it reports a failure with exit code 120."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    for service in ("lambda", "cloudformation"):
        boto3.Session().client(service, "us-east-1")
    gc.freeze()  # a collection in a fork would copy the memory that it shares
    for line in sys.stdin:
        print(json.dumps([run(call) for call in json.loads(line)]), flush=True)
