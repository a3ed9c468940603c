"""Every error Nightshift raises on purpose. The message is the sentence a person reads."""

# A sentence is read by people, in a mail and on a page.
MAX_SENTENCE = 2000


def sentence(exc: BaseException) -> str:
    """What the exception says, in a form that Postgres and JSON can hold; never raises.

    The database driver's errors carry a dict of fields: its message is meant.
    https://www.postgresql.org/docs/16/protocol-error-fields.html
    """
    try:
        fields = exc.args[0] if exc.args else None
        message = fields.get("M") if isinstance(fields, dict) else None
        said = str(exc if message is None else message)
    except Exception:
        said, message = "it cannot say why", None
    if not (isinstance(exc, NightshiftError) or message is not None):
        said = f"{type(exc).__name__}: {said}"
    return legible(said)


def legible(said: object) -> str:
    """In a form that Postgres and JSON can hold."""
    return str(said).replace("\x00", "").encode("utf-8", "replace").decode()[:MAX_SENTENCE]


class NightshiftError(Exception):
    """Something went wrong in Nightshift."""

    def __init__(self, message: str | None = None):
        super().__init__(message or self.__doc__)


class Refused(NightshiftError):
    """The request was refused.

    ``status`` is the HTTP status; ``extra`` are named fields beside ``error`` in the body.
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
    """The request does not match the one made before with this Idempotency-Key"""

    status = 422


class TooLarge(Refused):
    """The request body is too large"""

    status = 413


class TooManyRuns(Refused):
    """The team has made too many runs. Try again later."""

    status = 429

    def __init__(self, limit: int, *, retry_after_s: int):
        super().__init__(
            f"This team has made {limit:,} run{'s' if limit > 1 else ''} within a minute, which is the limit."
            f" Try again in {retry_after_s} s.",
            retry_after_s=retry_after_s,
        )


class Unavailable(Refused):
    """The database cannot be reached. Try again in a moment."""

    status = 503


class JobError(NightshiftError):
    """The job cannot go on. Its message becomes the run's ``error``, so it tells a person what to do."""


class RowsHidden(JobError):
    """Row-level security would keep rows from this role. Nothing took effect, and trying again changes nothing."""


class UnknownJob(JobError):
    """This release has no code for jobs of this type"""


class SetupRefused(NightshiftError):
    """Teams, people and keys cannot be as they were asked for"""


class DatabaseGone(NightshiftError):
    """The database connection is lost, and with it the knowledge whether the last statement took effect."""


class SessionUnfit(DatabaseGone):
    """The database session was of no use. The statement had no effect, and the session is closed."""


class DatabaseReadOnly(SessionUnfit):
    """The database can only be read at the moment. Nothing took effect."""


class SignInRefused(NightshiftError):
    """The database does not let this role sign in. Trying again changes nothing."""


class DatabaseBusy(NightshiftError):
    """The database rolled the statement back: a lock, a deadlock or a time limit. Nothing took effect."""


class DatabaseLocked(DatabaseBusy):
    """The database rolled the statement back: others hold a lock that it needs. Nothing took effect."""


class DatabaseExhausted(DatabaseBusy):
    """The database rolled the statement back: disk, memory or input and output failed it. Nothing took effect."""


class BadQuery(NightshiftError):
    """A query is not there, or does not go with the parameters that it was given. Nothing was sent."""


class ConfigurationError(NightshiftError):
    """A setting is missing or malformed."""
