"""From ``{"command": "view", "run_id": …}`` to the function of that name and its answer."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pg8000.exceptions import DatabaseError

from nightshift.database import Database
from nightshift.errors import (
    BadQuery,
    DatabaseBusy,
    DatabaseGone,
    DatabaseReadOnly,
    NightshiftError,
    Refused,
    Unavailable,
    sentence,
)
from nightshift.log import logger
from nightshift.ops.checks import READ_ONLY
from nightshift.settings import Settings
from nightshift.validation import refusal, shown

Command = Callable[..., dict[str, Any]]


def answer(
    event: Mapping[str, Any], *, commands: Mapping[str, Command], db: Database, settings: Settings
) -> dict[str, Any]:
    """The result of the one of ``commands`` that the event names, or ``{"error": "<sentence>"}``, with the refusal's
    named fields beside it.

    What nobody foresaw is raised: Lambda reports it as the function's error.
    """
    try:
        command, arguments = _command_of(event, commands)
        logger.info("Owner's command", action="owner_command", command=event["command"])
        return _checked(command)(db=db, settings=settings, **arguments)
    except Refused as exc:
        return {"error": str(exc)} | exc.extra
    except DatabaseError as exc:
        logger.exception("The database refused", action="database_refused")
        return {"error": f"The database refused: {sentence(exc)}. What is missing: nightshift system doctor"}
    except DatabaseReadOnly as exc:
        logger.warning(f"No database: {exc}", action="database_unavailable")
        return {"error": f"{sentence(exc)}. {READ_ONLY}"}
    except (DatabaseGone, DatabaseBusy) as exc:
        logger.warning(f"No database: {exc}", action="database_unavailable")
        return {"error": f"{Unavailable()} It said: {sentence(exc)}"}
    except BadQuery:
        raise
    except NightshiftError as exc:
        return {"error": str(exc)}


def _command_of(event: Mapping[str, Any], commands: Mapping[str, Command]) -> tuple[Command, dict[str, Any]]:
    arguments = dict(event)
    name = arguments.pop("command", None)
    command = commands.get(name) if isinstance(name, str) else None
    if command is None:
        raise Refused(f"Unknown command {shown(name)}. There is: {', '.join(commands)}")
    parameters = inspect.signature(command).parameters
    own = {argument: parameter for argument, parameter in parameters.items() if argument not in ("db", "settings")}
    for argument in arguments:
        if argument not in own:
            raise Refused(f"Unknown argument {shown(argument)} of {name}. There is: {', '.join(own) or 'none'}")
    for argument, parameter in own.items():
        if parameter.default is parameter.empty and argument not in arguments:
            raise Refused(f"{argument} is required")
    return command, arguments


def _checked(command: Command) -> Command:
    """The command behind a check of its arguments against their types. Raises Refused with the first that is wrong."""
    from pydantic import ConfigDict, ValidationError, validate_call

    checked = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(command)

    def call(**arguments: Any) -> dict[str, Any]:
        try:
            return checked(**arguments)
        except ValidationError as exc:
            raise Refused(refusal(exc)) from None

    return call
