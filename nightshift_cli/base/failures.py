"""The ways in which a command can fail, with their exit codes."""

from typing import Any

import click


class Failure(Exception):
    """A command cannot continue. ``message`` is a sentence for people, ``body`` the JSON document for programs."""

    exit_code: int

    def __init__(self, message: str, *, body: dict[str, Any] | None = None):
        super().__init__(message)
        self.message = message
        self.body = {"error": message} | (body or {})


class RequestRefused(Failure):
    """The API responded with 4xx, or the operate function with an error: it understood the request and refused it."""

    exit_code = 4
    # The command that shows the run which the refusal names.
    view: tuple[str, ...] = ("jobs", "view")


class Throttled(RequestRefused):
    """429: the same request may succeed later."""


class NotSignedIn(RequestRefused):
    """401: the API does not accept the token."""


class Unreachable(Failure):
    """There is no response, or it is not from a Nightshift API."""

    exit_code = 5


class Interrupted(Failure):
    """The user pressed Ctrl-C while watching a run; the run continues."""

    exit_code = 130


class Misconfigured(click.ClickException):
    """A setting or a choice is missing or wrong. click counts it as a usage error."""

    exit_code = click.UsageError.exit_code
