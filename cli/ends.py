"""How a call of the command line ends when its own output cannot be written, or its arguments cannot be read."""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from cli.errors import Misconfigured
from cli.output import clean

# What a shell reports of a program that writes into a closed pipe: 128 and the number of the signal.
BROKEN_PIPE = 141
UNWRITTEN = 6


@contextlib.contextmanager
def written_out() -> Iterator[None]:
    """Ends with what was said on its way, or with an exit code that tells that it is not."""
    # A letter that the stream's encoding lacks must not end the command.
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
        # The reader closed the pipe because it has seen enough: this is not an error.
        _give_up()
        sys.exit(BROKEN_PIPE)
    except OSError as exc:
        _give_up()
        # Only what concerns a file names one; an output has a number.
        said = f"{exc.filename}" if exc.filename else "The output"
        cannot = "cannot be used" if exc.filename else "cannot be written"
        _complain(f"{said} {cannot}: {exc.strerror or exc}.")
        sys.exit(Misconfigured.exit_code if exc.filename else UNWRITTEN)


@contextlib.contextmanager
def cleaned() -> Iterator[None]:
    """Keep what a terminal might act on out of click's own errors: they repeat what was typed or what a server said."""
    try:
        yield
    except click.ClickException as exc:
        vars(exc)["message"] = clean(exc.message)  # final to a type checker
        raise


def refuse_bytes(arguments: Sequence[str]) -> None:
    """Raises UsageError for an argument that holds bytes which are no text here: no request could carry it."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            shown = argument.encode(errors="replace").decode()
            raise click.UsageError(f"{shown!r} holds bytes that are no text in this terminal's encoding.") from None


def told_as_fault(exc: Exception) -> None:
    """Say in a line what a developer needs: the exception, and where it was raised."""
    last = traceback.extract_tb(exc.__traceback__)[-1]
    _complain(
        f"A fault of nightshift's own: {type(exc).__name__}: {exc} ({Path(last.filename).name}, line {last.lineno}). "
        "Report it with this line."
    )


def _complain(sentence: str) -> None:
    with contextlib.suppress(OSError):
        click.echo(f"Error: {clean(sentence)}", err=True)


def _give_up() -> None:
    """Python flushes once more at its end: what is left goes nowhere then."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
