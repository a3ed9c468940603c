"""Dispatch of events such as ``{"command": "view", "run_id": …}`` to the functions that answer them."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pg8000.exceptions import DatabaseError

from nightshift.base.errors import (
    BadQuery,
    DatabaseBusy,
    DatabaseGone,
    DatabaseReadOnly,
    NightshiftError,
    Refused,
    Unavailable,
    sentence,
)
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.base.validation import parse_text, refusal, shown
from nightshift.database.queries import Database
from nightshift.operator.checks import READ_ONLY
from nightshift.tenants.audit import OPERATOR, Author

Command = Callable[..., dict[str, Any]]

# The longest caller: an ARN of STS has at most 64 characters of a role's name and as many of the session's.
MAX_CALLER = 512
# The caller if the command line is of an earlier release.
UNNAMED = "unnamed"


def answer(
    event: Mapping[str, Any],
    *,
    commands: Mapping[str, Command],
    request_id: str,
    db: Database,
    settings: Settings,
) -> dict[str, Any]:
    """Run the command that the event names and return its result. The event may also name the ``caller``.

    Return ``{"error": "<sentence>"}``, with the refusal's named fields, if the command is refused or the database is
    unavailable. Unexpected exceptions are raised: Lambda reports them as the function's error.
    """
    try:
        author, asked = _author_of(event, request_id=request_id)
        command, arguments = _command_of(asked, commands, given={"db": db, "settings": settings, "author": author})
        logger.info("Operator's command", action="owner_command", command=event["command"])
        return _checked(command)(**arguments)
    except Refused as exc:
        return {"error": str(exc)} | exc.extra
    except DatabaseError as exc:
        logger.exception("The database refused a statement", action="database_refused")
        return {
            "error": f"The database refused a statement: {sentence(exc)}. To find missing rights or migrations: "
            "nightshift system doctor"
        }
    except DatabaseReadOnly as exc:
        logger.warning(f"No database: {exc}", action="database_unavailable")
        return {"error": f"{sentence(exc)}. {READ_ONLY}"}
    except (DatabaseGone, DatabaseBusy) as exc:
        logger.warning(f"No database: {exc}", action="database_unavailable")
        return {"error": f"{Unavailable()} Cause: {sentence(exc)}"}
    except BadQuery:
        raise
    except NightshiftError as exc:
        return {"error": str(exc)}


def _author_of(event: Mapping[str, Any], *, request_id: str) -> tuple[Author, dict[str, Any]]:
    """Return the author of the changes, and the event without its ``caller``.

    The caller is a claim of the command line: Lambda does not tell a function which credentials invoked it.
    """
    asked = dict(event)
    caller = asked.pop("caller", UNNAMED)
    if not (isinstance(caller, str) and 0 < len(caller) <= MAX_CALLER):
        raise Refused(f"caller must be text of 1 to {MAX_CALLER} characters, got {shown(caller)}")
    parse_text("caller", caller)
    return Author(actor=f"{OPERATOR}:{caller}", request_id=request_id), asked


def _command_of(
    event: Mapping[str, Any], commands: Mapping[str, Command], *, given: dict[str, Any]
) -> tuple[Command, dict[str, Any]]:
    """Return the command and its arguments: those of the event, and those of ``given`` that the command takes."""
    arguments = dict(event)
    name = arguments.pop("command", None)
    command = commands.get(name) if isinstance(name, str) else None
    if command is None:
        raise Refused(f"Unknown command {shown(name)}. Available: {', '.join(commands)}")
    parameters = inspect.signature(command).parameters
    own = {argument: parameter for argument, parameter in parameters.items() if argument not in given}
    for argument, value in arguments.items():
        if argument not in own:
            raise Refused(f"Unknown argument {shown(argument)} of {name}. Available: {', '.join(own) or 'none'}")
        if isinstance(value, str):
            parse_text(argument, value)
    for argument, parameter in own.items():
        if parameter.default is parameter.empty and argument not in arguments:
            raise Refused(f"{argument} is required")
    return command, arguments | {name: value for name, value in given.items() if name in parameters}


def _checked(command: Command) -> Command:
    """Wrap the command in a check of its arguments' types, which raises Refused for the first wrong argument."""
    from pydantic import ConfigDict, ValidationError, validate_call

    checked = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(command)

    def call(**arguments: Any) -> dict[str, Any]:
        try:
            return checked(**arguments)
        except ValidationError as exc:
            raise Refused(refusal(exc)) from None

    return call
