"""How a command can end early, and with which exit code."""

from typing import Any

import click


class Failure(Exception):
    """A command cannot go on. ``message`` is the sentence a person reads, ``body`` the JSON document for programs."""

    exit_code: int

    def __init__(self, message: str, *, body: dict[str, Any] | None = None):
        super().__init__(message)
        self.message = message
        self.body = {"error": message} | (body or {})


class Refused(Failure):
    """The API answered 4xx, or the ops function with an error: it understood, and will not."""

    exit_code = 4
    # The command that shows a run named in the refusal.
    view: tuple[str, ...] = ("jobs", "view")


class Throttled(Refused):
    """429: the same request may pass later."""


class NotSignedIn(Refused):
    """401: the API does not take the token."""


class Unreachable(Failure):
    """There is no answer, or none that an API of ours would give."""

    exit_code = 5


class Interrupted(Failure):
    """Somebody pressed Ctrl-C while a run was being watched; the run goes on."""

    exit_code = 130


class Misconfigured(click.ClickException):
    """Something has to be set or chosen before the API can be asked: a usage error, as click counts them."""

    exit_code = click.UsageError.exit_code
