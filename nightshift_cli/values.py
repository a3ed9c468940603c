"""Types of arguments and options, which are checked before any request is sent."""

import json
import re
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

import click
import click.shell_completion

from nightshift.base.validation import is_mail_address
from nightshift.jobs.registry import JOB_TYPES
from nightshift_cli.base import exact
from nightshift_cli.remote.config import is_header_value
from nightshift_cli.show.times import is_utc

WAITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class RunId(click.ParamType[str]):
    """The id of a run or of another thing, or its beginning, valid in a URL path. The API tells whether it exists."""

    name = "run_id"

    def __init__(self, of: str = "run"):
        self._of = of

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[\w-]+", value.strip(), re.ASCII):
            where = {"run": "jobs", "delivery": "alerts"}.get(self._of, f"{self._of}s")
            self.fail(f"{value!r} is not a {self._of} id. See `nightshift {where} list`.", param, ctx)
        return value.strip()


class Param(click.ParamType[tuple[str, Any]]):
    """``name=value`` as a pair. The value is parsed as JSON if it is valid JSON, otherwise it is text."""

    name = "name=value"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        name, equals, text = value.partition("=")
        if not name or not equals:
            self.fail(f"{value!r} is not of the form name=value.", param, ctx)
        try:
            # A number beyond the range of a double is sent as text: others would read it as infinity.
            json.dumps(json.loads(text), allow_nan=False)
            return name, exact.read(text)
        except (ValueError, RecursionError):
            return name, text


def by_name(context: click.Context, param: click.Parameter, pairs: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise click.BadParameter("each name may be given only once.", ctx=context, param=param)
    return values


class Name(click.ParamType[str]):
    """Any non-empty text. An empty value is usually an unset shell variable, and must not select a default."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.strip():
            self.fail("must not be empty (is a shell variable unset?)", param, ctx)
        return value


class Moment(click.ParamType[str]):
    """A time to come as ISO 8601 in UTC: given as ISO 8601, in this machine's zone if it names none, or as a wait."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            if wait := re.fullmatch(r"([0-9]{1,6})([mhdw])", value.strip(), re.ASCII):
                moment = datetime.now(UTC) + timedelta(**{WAITS[wait[2]]: int(wait[1])})
            else:
                moment = datetime.fromisoformat(value.strip()).astimezone(UTC)
        except (ValueError, OverflowError, OSError):
            self.fail(f"{value!r} is not a time: write '2026-11-28 03:00', ISO 8601, or a wait such as 2h.", param, ctx)
        return moment.isoformat(timespec="milliseconds")


class PastMoment(click.ParamType[str]):
    """A time, or an age such as 7d. ISO 8601 without a zone is in this machine's zone, or in UTC with --utc."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if re.fullmatch(r"[0-9]{1,9}[smhdw]", value.strip(), re.ASCII):
            return value.strip()
        try:
            moment = datetime.fromisoformat(value.strip())
            if moment.tzinfo is None and is_utc():
                moment = moment.replace(tzinfo=UTC)
            return moment.astimezone(UTC).isoformat(timespec="milliseconds")
        except (ValueError, OverflowError, OSError):
            self.fail(
                f"{value!r} is not a time: write '2026-11-28 03:00', ISO 8601, or an age such as 30m, 1h, 7d.",
                param,
                ctx,
            )


class JobTypeName(click.ParamType[str]):
    """Any job type: the stack may run another release than this command, and it lists the types it knows."""

    name = "job_type"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        like = [] if value in JOB_TYPES else get_close_matches(value, JOB_TYPES, n=1)
        if like:
            click.echo(f"This release has no job type {value!r}. Did you mean {like[0]}?", err=True)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        return [click.shell_completion.CompletionItem(name) for name in JOB_TYPES if name.startswith(incomplete)]


class MailAddress(click.ParamType[str]):
    """Text with the form of a mail address."""

    name = "address"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_mail_address(value):
            self.fail(f"{value!r} is not a mail address.", param, ctx)
        return value


class HeaderValue(click.ParamType[str]):
    """A word that is valid in an HTTP header."""

    name = "key"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_header_value(value):
            self.fail(f"{value!r} is not a valid key: use visible ASCII characters without spaces.", param, ctx)
        return value
