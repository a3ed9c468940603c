"""The settings of a function, from environment variables. They are read at first use, never at import."""

import math
import os
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal, get_args

from nightshift.base.errors import ConfigurationError

# For each function: the variables without which it refuses every call, beside DATABASE_HOST and DATABASE_USER, which
# all need. A test compares them with template.yaml.
REQUIRED: dict[str, tuple[str, ...]] = {
    "announce": (),
    "api": (
        *("QUEUE_URL", "NOTIFY_QUEUE_URL", "ANNOUNCE_QUEUE_URL", "DELIVER_QUEUE_URL"),
        *("INTEGRATIONS_KEY_ID", "SIGN_IN_SECRET_ID"),
    ),
    "deliver": (),
    "migrate": ("MIGRATION_FOLDERS",),
    "notify": ("SIGN_IN_SECRET_ID",),
    "operate": (
        *("QUEUE_URL", "NOTIFY_QUEUE_URL", "ANNOUNCE_QUEUE_URL", "DELIVER_QUEUE_URL", "DEAD_LETTERS"),
        "INTEGRATIONS_KEY_ID",
    ),
    "schedule": ("QUEUE_URL",),
    "setup": ("INTEGRATIONS_KEY_ID",),
    "sweep": ("QUEUE_URL", "NOTIFY_QUEUE_URL", "ANNOUNCE_QUEUE_URL", "DELIVER_QUEUE_URL"),
    "worker": ("QUEUE_URL", "NOTIFY_QUEUE_URL", "ANNOUNCE_QUEUE_URL", "INTEGRATIONS_KEY_ID"),
}


# The queues that have a dead-letter queue, by the function that reads them.
DEAD_LETTERS = ("run", "notify", "announce", "schedule", "deliver")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field per environment variable, which has the same name in capitals. Times are in seconds."""

    database_host: str
    # The Postgres role, which may do what this function's statements need (sql/jobs/0007_roles.sql).
    database_user: str
    database_port: int = 5432
    database_name: str = "nightshift"
    # The Postgres role of the system jobs, which owns the event tables.
    database_maintenance_user: str = "nightshift_maintenance"
    # How to sign in: "iam" with a token of this function's role, "secret" with the password in a secret, "either" with
    # that password or, if it is refused, with a token; "none" with database_password, or without a password.
    database_auth: Literal["iam", "secret", "either", "none"] = "none"
    database_secret_id: str = ""
    # Used if database_secret_id is empty: the secret's name is this prefix followed by the connecting role's name.
    database_role_secrets: str = ""
    # For the migrate function: how the functions' roles sign in. "none" leaves them as they are.
    roles_auth: Literal["iam", "secret", "none"] = "none"
    database_password: str = ""
    # The host for system jobs, which bypass a proxy or pooler. Empty: database_host.
    database_direct_host: str = ""
    database_direct_port: int = 5432
    # The name for which the server's certificate must be, and IAM tokens are made. Empty: database_host.
    database_server_name: str = ""
    # The root certificates for the server's certificate. Required on AWS. Empty only if the server is this machine.
    database_ca_file: str = ""
    # How long one response of the database may take (seconds). Less than the function's timeout, and if possible more
    # than the server's statement_timeout: that error says that nothing took effect, a silent connection does not.
    database_timeout_s: float = 35
    queue_url: str = ""
    # The queues of mails, of events, and of teams' alerts.
    notify_queue_url: str = ""
    announce_queue_url: str = ""
    deliver_queue_url: str = ""
    # The names of the dead-letter queues, separated by commas, in the order of DEAD_LETTERS.
    dead_letters: str = ""
    # The sender, an identity verified in SES. Empty: mails fail, and their outbox rows say why.
    mail_from: str = ""
    # SES's configuration set, which tells of bounces and complaints. Empty in a region that has none.
    mail_configuration_set: str = ""
    # Mails per hour to all members of a team together. Mails beyond that are combined into digests. 0: no limit.
    mails_per_team_and_hour: int = 10
    # Addresses for mails about system runs and missed schedules, separated by commas or semicolons.
    system_jobs_alert_email: str = ""
    system_jobs_alerts: Literal["all", "failures"] = "all"
    # The SNS topic of the alarms, and how many messages of each queue are worked on at the same time: for the doctor
    # command. Empty and 0: not checked.
    alarm_topic_arn: str = ""
    worker_concurrency: int = 0
    mail_concurrency: int = 0
    event_concurrency: int = 0
    alert_concurrency: int = 0
    # The event bus for events about ended runs. Empty: no events.
    event_bus_name: str = ""
    # The dashboard's address, for links in mails. Empty: no links.
    dashboard_url: str = ""
    # The address of a run's log lines, with {run_id} for its id. Empty: CloudWatch Logs Insights, with log_groups.
    logs_url: str = ""
    # The functions' log groups, separated by commas. Empty: no links to Logs Insights.
    log_groups: str = ""
    # 0: no limit.
    max_database_size_gb: float = 0
    # Months after the current one for which the event tables have partitions.
    partition_months_ahead: int = 3
    # How long ended runs, their slices and mails, and the slots of schedules are kept.
    retention_days: float = 90
    jwt_secret_id: str = ""
    jwks_url: str = ""
    # The required issuer and audience of a token. Mandatory with jwks_url, whose keys may also sign others' tokens.
    jwt_issuer: str = ""
    jwt_audience: str = ""
    # The claim that holds a users.id. "email" matches users.email instead, if the issuer has verified the address.
    jwt_user_claim: str = "sub"
    # The secret that the codes for signing in follow from, and how many are mailed within an hour, to all people
    # together. 0: no sign-in by code or link.
    sign_in_secret_id: str = ""
    sign_in_codes_per_hour: int = 100
    integrations_key_id: str = ""
    revenuecat_url: str = "https://api.revenuecat.com/v2"
    # R, H and the limit of docs/protocol.md.
    resend_delay_s: float = 120
    resend_ceiling_s: float = 3600
    lost_slices_limit: int = 5
    # A run fails after this many lost slices in total, even if its cursor moved in between.
    lost_slices_ceiling: int = 50
    # A slice's lease outlives its invocation by this much.
    lease_margin_s: float = 10
    # A slice stops taking steps this long before Lambda would kill it.
    slice_reserve_s: float = 30
    # The longest time of a slice, even if Lambda allows more, so that other runs in the queue get their turn.
    slice_budget_s: float = 90
    # 1: a run whose job cannot be imported waits and tries again, because an update of the functions may be under way.
    # 0: it fails at once, on a stack whose functions are all updated together.
    awaits_updates: int = 1
    sweep_batch: int = 500
    # The least level of lines that a job's run keeps and CloudWatch receives.
    job_log_level: Literal["debug", "info", "warning", "error"] = "info"
    # How many megabytes of log lines a team's runs keep together; beyond that the oldest go.
    team_log_megabytes: int = 100
    # The most runs that one team may start within a minute.
    runs_per_minute: int = 120
    # Teams' schedules: how many start within a minute, how many a team may have, and how close two slots may be.
    scheduled_starts_per_minute: int = 1200
    schedules_per_team: int = 100
    schedule_interval_minutes: float = 15
    alerts_per_team: int = 20
    # The local stack's page that shows what alerts sent, and the one address that is called without being checked. The
    # template does not set it, and it only counts on local AWS.
    alert_sink_url: str = ""
    # Folders of sql/ to apply. Only "jobs" if the platform has its own tables.
    migration_folders: str = "platform,jobs"
    # For the migrate function: entries like db_pruning=cron(0 2 * * ? *), for jobs with another schedule than usual.
    schedules: str = ""

    def dead_letters_url(self, of: str) -> str:
        """Return the URL of a dead-letter queue. It is beside the queue of runs; an environment has no room for all."""
        names = dict(zip(DEAD_LETTERS, self.dead_letters.split(","), strict=False))
        return f"{self.queue_url.rpartition('/')[0]}/{names.get(of, '')}"

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the environment. Raise ConfigurationError with the name and value of a bad variable."""
        given = {field: text for field in fields(cls) if (text := os.environ.get(field.name.upper(), ""))}
        values = {field.name: _read(field.name.upper(), text, field.type) for field, text in given.items()}
        if not os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://127.0.0.1:"):
            values.pop("alert_sink_url", None)
        if "database_host" not in values:
            raise ConfigurationError("DATABASE_HOST is not set: set it to the address of the Postgres server")
        if "database_user" not in values:
            raise ConfigurationError("DATABASE_USER is not set: set it to the Postgres role of this function")
        return cls(**values)


@cache
def settings() -> Settings:
    return Settings.from_environment()


def settings_for(function: str) -> Settings:
    """Return the settings of the function. Raise ConfigurationError if the variables that it requires are not set."""
    if missing := [name for name in REQUIRED[function] if not os.environ.get(name)]:
        raise ConfigurationError(
            f"{function.capitalize()}Function cannot work without {', '.join(missing)}: set each variable in the "
            "function's Environment in template.yaml, and deploy again"
        )
    return settings()


def _read(name: str, text: str, kind: Any) -> Any:
    """Return the value of a variable. Raise ConfigurationError, with name and value, if it is not of this kind."""
    if choices := get_args(kind):
        if text not in choices:
            raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, got {text!r}")
    elif kind is not str:
        return _number(name, text, kind)
    # JWKS_URL has stricter rules, in tokens.py, and callers with a key do not depend on it.
    elif name.endswith("_URL") and name != "JWKS_URL" and not text.startswith(("https://", "http://")):
        raise ConfigurationError(f"{name} must begin with https:// or http://, got {text!r}")
    return text


def _number(name: str, text: str, kind: Any) -> Any:
    wanted = "a whole number" if kind is int else "a number"
    try:
        number = kind(text)
    except ValueError:
        raise ConfigurationError(f"{name} must be {wanted}, got {text!r}") from None
    if number < 0 or not math.isfinite(number):
        raise ConfigurationError(f"{name} must be {wanted} of 0 or more, got {text!r}")
    return number
