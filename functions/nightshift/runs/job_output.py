"""What a job says while it works: ``run.log``, the standard ``logging``, and ``print``, also in its threads.

Every line goes to CloudWatch with the run's id, slice and request. Lines that are logged also go to the run's log.
"""

import logging
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

from nightshift.base.errors import JobError, sentence
from nightshift.base.logger import logger
from nightshift.base.stored_json import shown
from nightshift.runs.job_log import LEVELS, MAX_FIELDS, JobLog, clean, plain

# The standard logger behind run.log.
JOB_LOGGER = logging.getLogger("job")
# Libraries that report their own work at the level of information.
CHATTY = ("boto3", "botocore", "s3transfer", "urllib3")
# The name of the handler that Lambda's runtime adds to the root logger begins like this (awslambdaric's bootstrap.py).
LAMBDAS = "LambdaLoggerHandler"
LEVEL_NUMBERS = {name: getattr(logging, name.upper()) for name in LEVELS}
# The attributes of every record. All others are fields.
OF_EVERY_RECORD = frozenset((*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"))
# Characters of a message in CloudWatch, and of a printed line whose end has not been printed yet.
LONGEST_TEXT = 16_384


def log(message: object, *, level: str, fields: Mapping[str, object], lines_above: int) -> None:
    """Log a line as the standard ``logging`` does. ``lines_above`` calls away is the job's line.

    Raises JobError for an unknown level.
    """
    if level not in LEVELS:
        raise JobError(f"The level of a log line must be one of {', '.join(LEVELS)}, got {shown(level)}")
    if JOB_LOGGER.isEnabledFor(LEVEL_NUMBERS[level]):
        JOB_LOGGER.log(
            LEVEL_NUMBERS[level],
            "%s",
            clean(message, longest=LONGEST_TEXT),
            extra={"of_run": dict(fields)},
            stacklevel=lines_above + 1,
        )


@contextmanager
def captured(log: JobLog, *, level: str) -> Iterator[None]:
    """Take what the job logs and prints within the block, from ``level`` on. A thread that outlives it is not heard."""
    handler = _JobHandler(log)
    _BLOCKS.enter(LEVEL_NUMBERS[level])
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        handler.end()
        _BLOCKS.leave()


class _Blocks:
    """Changes of the process by the blocks and their jobs: the first block begins them, and the last one undoes them.

    A function works one slice at a time. Tests work several in threads, whose blocks end in any order.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._count = 0
        self._changes = ExitStack()

    def enter(self, level: int) -> None:
        with self._turn:
            self._count += 1
            if self._count == 1:
                self._change(level)

    def leave(self) -> None:
        with self._turn:
            self._count -= 1
            if self._count == 0:
                self._changes.close()

    def _change(self, level: int) -> None:
        root = logging.getLogger()
        # A job may disable levels for the whole process, which also works the next run.
        self._changes.callback(logging.disable, root.manager.disable)
        for each in [each for each in root.handlers if type(each).__name__.startswith(LAMBDAS)]:
            # Lambda's own handler would write each line a second time, without the run's id.
            root.removeHandler(each)
            self._changes.callback(root.addHandler, each)
        for name, least in ({"": level} | dict.fromkeys(CHATTY, max(logging.WARNING, level))).items():
            of = logging.getLogger(name)
            self._changes.callback(of.setLevel, of.level)
            of.setLevel(least)
        printed = _Printed(sys.stdout)
        self._changes.enter_context(redirect_stdout(printed))
        self._changes.enter_context(redirect_stderr(printed))
        self._changes.callback(printed.end)


_BLOCKS = _Blocks()


class _JobHandler(logging.Handler):
    """Writes each record to CloudWatch and to the run's log. The executor's own lines are no lines of the job.

    A thread that an earlier slice left behind may be at work for another team's run: its lines go to CloudWatch alone.
    """

    def __init__(self, log: JobLog):
        super().__init__()
        self._log = log
        self._left_behind = weakref.WeakSet(threading.enumerate())
        self._left_behind.discard(threading.current_thread())
        self._is_closed = False

    def close(self) -> None:
        """Stay, if it is the job that closes the handlers: ``logging.basicConfig(force=True)`` does so."""
        if self._is_closed:
            super().close()
        else:
            logging.getLogger().addHandler(self)

    def end(self) -> None:
        self._is_closed = True
        logging.getLogger().removeHandler(self)
        self.close()

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == logger.name:
            return
        is_of_run = threading.current_thread() not in self._left_behind
        try:
            message = record.getMessage()
        except Exception as exc:
            message = f"{shown(record.msg)} ({sentence(exc)})"
        level, fields = _level_of(record.levelno), _fields_of(record)
        action = "job_logged" if is_of_run else "earlier_job_logged"
        logger.registered_handler.handle(_for_cloudwatch(record, message, fields, action=action))
        if is_of_run:
            self._log.add(level, message, fields | _exception_of(record))


def _for_cloudwatch(
    record: logging.LogRecord, message: str, fields: dict[str, object], *, action: str
) -> logging.LogRecord:
    """Return the record with its fields in one key, so that they cannot replace the run's id."""
    kept = {name: value for name, value in vars(record).items() if name in OF_EVERY_RECORD}
    extra: dict[str, Any] = {"fields": {clean(name, longest=60): plain(of) for name, of in fields.items()}}
    return logging.makeLogRecord(kept | {"msg": message, "args": None, "action": action} | (extra if fields else {}))


def _fields_of(record: logging.LogRecord) -> dict[str, object]:
    given = vars(record)
    if record.name == JOB_LOGGER.name and isinstance(given.get("of_run"), dict):
        return dict(given["of_run"])
    extra = [(name, value) for name, value in given.items() if name not in OF_EVERY_RECORD]
    named = {"logger": record.name} if record.name != "root" else {}
    return named | dict(extra[:MAX_FIELDS])


def _exception_of(record: logging.LogRecord) -> dict[str, object]:
    """Return the exception in a sentence. Its traceback is in CloudWatch alone: it shows code."""
    error = record.exc_info[1] if record.exc_info else None
    return {"exception": sentence(error)} if error else {}


def _level_of(number: int) -> str:
    return next((name for name in reversed(LEVELS) if number >= LEVEL_NUMBERS[name]), LEVELS[0])


class _Printed:
    """Standard output and error of a job: each whole line becomes a line in CloudWatch. Threads do not mix theirs."""

    def __init__(self, real: TextIO):
        self._real = real
        self._turn = threading.Lock()
        self._begun: dict[int, str] = {}
        self._saying = threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def write(self, text: str) -> int:
        thread = threading.get_ident()
        with self._turn:
            *lines, rest = (self._begun.pop(thread, "") + text).split("\n")
            if len(rest) > LONGEST_TEXT:
                lines, rest = [*lines, rest], ""
            if rest:
                self._begun[thread] = rest
        self._say(lines)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        """Wait for the end of the line."""

    def close(self) -> None:
        """Stay open: the process writes to the real one after the slice, too."""

    def isatty(self) -> bool:
        return False

    def end(self) -> None:
        """Say the lines that have no end."""
        with self._turn:
            lines, self._begun = list(self._begun.values()), {}
        self._say(lines)

    def _say(self, lines: list[str]) -> None:
        # The logger reports its own failures here. To log them would fail in the same way, without an end.
        if getattr(self._saying, "is_on", False):
            return
        self._saying.is_on = True
        try:
            for line in filter(str.strip, lines):
                logger.info(line, action="job_printed")
        finally:
            self._saying.is_on = False
