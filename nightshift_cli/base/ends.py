"""How a command ends if its output cannot be written or its arguments cannot be read."""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from nightshift.base.errors import ConfigurationError
from nightshift_cli.base.failures import Misconfigured
from nightshift_cli.base.text import clean

# The exit code that shells report for SIGPIPE: 128 plus the signal's number.
BROKEN_PIPE = 141
UNWRITTEN = 6


@contextlib.contextmanager
def written_out() -> Iterator[None]:
    """Flush the output at the end of the block, or exit with a code that says that it could not be written."""
    # A character that the stream's encoding lacks must not end the command.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    except BrokenPipeError:
        # A reader such as `head` closed the pipe: this is not an error.
        _give_up()
        sys.exit(BROKEN_PIPE)
    except OSError as exc:
        _give_up()
        # An error about a file names it; an error about an output stream does not.
        said = f"{exc.filename}" if exc.filename else "The output"
        cannot = "cannot be used" if exc.filename else "cannot be written"
        _complain(f"{said} {cannot}: {exc.strerror or exc}.")
        sys.exit(Misconfigured.exit_code if exc.filename else UNWRITTEN)


@contextlib.contextmanager
def cleaned() -> Iterator[None]:
    """Remove control characters from click's errors, which repeat what was typed or what a server sent."""
    try:
        yield
    except click.ClickException as exc:
        vars(exc)["message"] = clean(exc.message)  # click declares the attribute as Final
        raise


def refuse_bytes(arguments: Sequence[str]) -> None:
    """Raise UsageError for an argument with bytes that are not valid text: no request could carry it."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            shown = argument.encode(errors="replace").decode()
            raise click.UsageError(
                f"{shown!r} contains bytes that are not valid in this terminal's encoding."
            ) from None


def told_as_fault(exc: Exception) -> None:
    """Print one line: what is wrong with the checkout's jobs, or for our developers the exception and its place."""
    if isinstance(exc, ConfigurationError):
        _complain(f"{exc}. Correct that file, or remove its folder.")
        return
    last = traceback.extract_tb(exc.__traceback__)[-1]
    _complain(
        f"Internal error in nightshift: {type(exc).__name__}: {exc} ({Path(last.filename).name}, line {last.lineno}). "
        "Please report this line."
    )


def _complain(sentence: str) -> None:
    with contextlib.suppress(OSError):
        click.echo(f"Error: {clean(sentence)}", err=True)


def _give_up() -> None:
    """Redirect unwritable streams to the null device: Python flushes them again at exit, which must not fail."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
