"""How a call of the command line ends when its own output cannot be written, or its arguments cannot be read."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence

import click

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
    except BrokenPipeError:
        # Whoever read it has seen enough, which is nobody's mistake.
        _give_up()
        sys.exit(BROKEN_PIPE)
    except OSError as exc:
        _give_up()
        with contextlib.suppress(OSError):
            click.echo(f"Error: The output cannot be written: {exc.strerror or exc}.", err=True)
        sys.exit(UNWRITTEN)


def refuse_bytes(arguments: Sequence[str]) -> None:
    """Raises UsageError for an argument that holds bytes which are no text here: no request could carry it."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            shown = argument.encode(errors="replace").decode()
            raise click.UsageError(f"{shown!r} holds bytes that are no text in this terminal's encoding.") from None


def _give_up() -> None:
    """Python flushes once more at its end: what is left goes nowhere then."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
