"""What people type as arguments, checked before anybody is asked."""

import json
import re
from typing import Any

import click
import click.shell_completion

from cli import exact
from cli.config import is_header_value
from nightshift.catalogue import CATALOGUE
from nightshift.validation import is_mail_address


class RunId(click.ParamType[str]):
    """An id, or its beginning, that can stand in a URL's path; whether there is such a run is for the API to say."""

    name = "run_id"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[\w-]+", value.strip(), re.ASCII):
            self.fail(f"{value!r} is not the id of a run. `nightshift jobs list` shows them.", param, ctx)
        return value.strip()


class Param(click.ParamType[tuple[str, Any]]):
    """``name=value`` as a pair; the value is what its JSON means, or the text itself where it is no JSON."""

    name = "name=value"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        name, equals, text = value.partition("=")
        if not name or not equals:
            self.fail(f"{value!r} is not of the form name=value.", param, ctx)
        try:
            # What is beyond every double goes as text: others would read it as infinity.
            json.dumps(json.loads(text), allow_nan=False)
            return name, exact.read(text)
        except (ValueError, RecursionError):
            return name, text


def by_name(context: click.Context, param: click.Parameter, pairs: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise click.BadParameter("every name may be given once.", ctx=context, param=param)
    return values


class Name(click.ParamType[str]):
    """Anything but nothing: an empty one is a shell variable that is not set, and must not mean another place."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.strip():
            self.fail("it is empty. Is a shell variable not set?", param, ctx)
        return value


class JobTypeName(click.ParamType[str]):
    """Any: the stack may be of another release than this command, and says which it knows."""

    name = "job_type"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        return [click.shell_completion.CompletionItem(name) for name in CATALOGUE if name.startswith(incomplete)]


class MailAddress(click.ParamType[str]):
    """What could be one."""

    name = "address"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_mail_address(value):
            self.fail(f"{value!r} is not a mail address.", param, ctx)
        return value


class HeaderValue(click.ParamType[str]):
    """A word that can stand in an HTTP header."""

    name = "key"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_header_value(value):
            self.fail(f"{value!r} is not a key: visible ASCII characters without spaces.", param, ctx)
        return value
