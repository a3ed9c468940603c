"""What the environment tells a function, read when first asked for, never at import."""

import os
from dataclasses import dataclass, fields
from functools import cache

from nightshift.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field per environment variable of the same name in capitals. Times in seconds."""

    database_host: str
    database_port: int = 5432
    database_name: str = "nightshift"
    database_user: str = "nightshift_app"
    # The role of the system jobs, which owns the event tables.
    database_maintenance_user: str = "nightshift_maintenance"
    # How to sign in: "iam" with a token of this function's role, "secret" with what database_secret_id holds, "none"
    # where the server asks for nothing.
    database_auth: str = "none"
    database_secret_id: str = ""
    # Without an id the secret of the role that connects is read: its name begins with this and ends with the role's.
    database_role_secrets: str = ""
    database_password: str = ""
    # Where system jobs connect, past a proxy; empty: where everybody does.
    database_direct_host: str = ""
    # The root certificates that sign the server's: required on AWS. Empty only where the address is this machine.
    database_ca_file: str = ""
    # How long one answer of the database may take (seconds): less than the function has, and more than the server's own
    # statement_timeout, where there is time for that: it tells that nothing took effect, a silent connection does not.
    database_timeout_s: float = 35
    queue_url: str = ""
    notify_queue_url: str = ""
    # Where messages go that nobody could take, for the owner's commands. Empty: there is no such queue.
    run_dead_letters_url: str = ""
    notify_dead_letters_url: str = ""
    schedule_dead_letters_url: str = ""
    # The sender, an identity that SES has verified. Empty: no mail can be sent, and the outbox says so.
    mail_from: str = ""
    # Who hears of system runs and missed schedules; empty: nobody. "all" or "failures".
    system_jobs_alert_email: str = ""
    system_jobs_alerts: str = "all"
    # Where the events of endings go. Empty: there are none.
    event_bus_name: str = ""
    # Where a mail's link leads; empty: no link.
    dashboard_url: str = ""
    # Where the lines about a run are read, with {run_id} for its id. Empty: CloudWatch Logs Insights, over log_groups.
    logs_url: str = ""
    # The functions' log groups, with commas. Empty: nobody is led to them.
    log_groups: str = ""
    # 0: no limit.
    max_database_size_gb: float = 0
    # Months after the current one for which the event tables have partitions.
    partition_months_ahead: int = 3
    # How long ended runs, their slices and mails, and the slots of schedules are kept.
    retention_days: float = 90
    jwt_secret_id: str = ""
    jwks_url: str = ""
    # What a token from the JWKS's owner must name, where it issues tokens for others too. Empty: not asked.
    jwt_issuer: str = ""
    jwt_audience: str = ""
    integrations_key_id: str = ""
    revenuecat_url: str = "https://api.revenuecat.com/v2"
    # R, H and the limit of docs/protocol.md.
    resend_delay_s: float = 120
    resend_ceiling_s: float = 3600
    lost_slices_limit: int = 5
    # A slice's lease outlives its invocation by this much.
    lease_margin_s: float = 10
    # A slice stops taking steps this long before Lambda would kill it.
    slice_reserve_s: float = 30
    # The most a slice may take, whatever Lambda would allow: hands the queue's turn to others.
    slice_budget_s: float = 90
    sweep_batch: int = 500
    # Folders of sql/ to apply: "jobs" alone where the platform has tables of its own.
    migration_folders: str = "platform,jobs"
    # {"<job type>": "<EventBridge cron>", …} as JSON, for the migrate function; empty values are not scheduled.
    schedules: str = "{}"

    @classmethod
    def from_environment(cls) -> "Settings":
        """Raises ConfigurationError naming the variable and its value."""
        values: dict[str, object] = {}
        for field in fields(cls):
            name = field.name.upper()
            text = os.environ.get(name, "")
            if text == "":
                continue
            kind = field.type
            try:
                values[field.name] = kind(text) if callable(kind) else text
            except ValueError as exc:
                raise ConfigurationError(f"{name} must be a number, got {text!r}") from exc
        if "database_host" not in values:
            raise ConfigurationError("DATABASE_HOST is not set: the address of the Postgres server")
        return cls(**values)  # type: ignore[arg-type]


@cache
def settings() -> Settings:
    return Settings.from_environment()
