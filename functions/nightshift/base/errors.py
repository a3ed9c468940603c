"""The errors that Nightshift raises on purpose. People read their messages."""

from nightshift.base.masking import masked

# The longest message: people read it in mails and on pages.
MAX_SENTENCE = 2000


def sentence(exc: BaseException) -> str:
    """Return the exception's message without secrets, in a form that Postgres and JSON can store. Never raise.

    The database driver's errors carry a dict of fields, of which this returns the message.
    https://www.postgresql.org/docs/16/protocol-error-fields.html
    """
    try:
        fields = exc.args[0] if exc.args else None
        message = fields.get("M") if isinstance(fields, dict) else None
        said = str(exc if message is None else message)
    except Exception:
        said, message = "no readable message", None
    if not (isinstance(exc, NightshiftError) or message is not None):
        said = f"{type(exc).__name__}: {said}"
    return legible(said)


def legible(said: object) -> str:
    """Return the text without secrets, in a form that Postgres and JSON can store."""
    return masked(str(said)).replace("\x00", "").encode("utf-8", "replace").decode()[:MAX_SENTENCE]


class NightshiftError(Exception):
    """Something went wrong in Nightshift."""

    def __init__(self, message: str | None = None):
        super().__init__(message or self.__doc__)


class Refused(NightshiftError):
    """The request was refused.

    ``status`` is the HTTP status; ``extra`` holds the fields beside ``error`` in the body.
    """

    status = 400

    def __init__(self, message: str | None = None, **extra: object):
        super().__init__(message)
        self.extra = extra


class Unauthorized(Refused):
    """Invalid or expired token"""

    status = 401


class Forbidden(Refused):
    """Requires admin role or higher"""

    status = 403


class NotFound(Refused):
    """Job run not found"""

    status = 404


class Conflict(Refused):
    """A job of this type is already running or pending"""

    status = 409


class Unprocessable(Refused):
    """This Idempotency-Key was already used with a different request"""

    status = 422


class TooLarge(Refused):
    """The request body is too large"""

    status = 413


class TooMany(Refused):
    """Too many requests. Try again later."""

    status = 429


class TooManyRuns(TooMany):
    """The team has started too many runs. Try again later."""

    def __init__(self, limit: int, *, retry_after_s: int):
        super().__init__(
            f"This team has started {limit:,} run{'s' if limit > 1 else ''} within a minute, which is the limit."
            f" Try again in {retry_after_s} s.",
            retry_after_s=retry_after_s,
        )


class Unavailable(Refused):
    """The database cannot be reached. Try again in a moment."""

    status = 503


class JobError(NightshiftError):
    """The job cannot continue. Its message becomes the run's ``error``, so it must say what to do."""


class RowsHidden(JobError):
    """Row-level security hides rows from this role. Nothing took effect, and a retry will not help."""


class UnknownJob(JobError):
    """This release has no code for jobs of this type"""


class SetupRefused(NightshiftError):
    """The requested change to teams, people or keys is not possible"""


class DatabaseGone(NightshiftError):
    """The database connection was lost. It is unknown whether the last statement took effect."""


class SessionUnfit(DatabaseGone):
    """The database session was not usable. The statement had no effect, and the session is closed."""


class DatabaseReadOnly(SessionUnfit):
    """The database is read-only at the moment. Nothing took effect."""


class SignInRefused(NightshiftError):
    """The database does not allow this role to sign in. A retry will not help."""


class DatabaseBusy(NightshiftError):
    """The database rolled the statement back: a lock, a deadlock or a time limit. Nothing took effect."""


class DatabaseLocked(DatabaseBusy):
    """The database rolled the statement back: another session holds a lock that it needs. Nothing took effect."""


class DatabaseExhausted(DatabaseBusy):
    """The database rolled the statement back: it lacked disk space or memory, or I/O failed. Nothing took effect."""


class BadQuery(NightshiftError):
    """A query does not exist, or does not match the given parameters. Nothing was sent."""


class ConfigurationError(NightshiftError):
    """A setting is missing or malformed."""
