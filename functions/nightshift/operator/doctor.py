"""Check a fresh installation, line by line. Slow checks (a run, a mail) only start here; the caller waits for them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from nightshift.aws.clients import client
from nightshift.base.errors import DatabaseReadOnly, NotFound, Refused
from nightshift.base.settings import Settings
from nightshift.base.validation import is_mail_address, shown
from nightshift.database.queries import Database, sql_directory
from nightshift.database.session_pins import unpinned
from nightshift.notify import outbox
from nightshift.operator.checks import READ_ONLY, Check, Question, green, red, report, run, run_all
from nightshift.operator.mail_checks import examine_mail, examine_recipients
from nightshift.operator.partition_checks import check_partitions
from nightshift.operator.run_commands import mail_as_json
from nightshift.operator.token_checks import examine_tokens

OLDEST_POSTGRES = 16
PLATFORM_TABLES = (
    "users", "teams", "team_members", "projects", "apps", "api_keys", "project_integrations", "app_users",
    "metric_definitions", "funnel_definitions", "events", "metric_events", "funnel_events",
)  # fmt: skip
PROVIDER_TIMEOUT_S = 5


def examine(*, db: Database, settings: Settings) -> dict[str, Any]:
    """Return ``{"ok", "checks": [{"name", "ok", "says", "do"}]}``. A check that cannot run is red and says why."""
    checks = [run("database", partial(_reach, db), NO_DATABASE)]
    if checks[0]["ok"]:
        checks = run_all(
            [
                Question(name, partial(look_at, db), "Deploy this release again.")
                for name, look_at in (
                    ("database", _database),
                    ("migrations", _migrations),
                    ("rights", _rights),
                    ("settings", _settings),
                    ("partitions", partial(check_partitions, settings=settings)),
                )
            ]
        )
    checks.append(run("RevenueCat access", partial(_provider, settings.revenuecat_url), NO_WAY_OUT))
    for name, url in (("run queue", settings.queue_url), ("mail queue", settings.notify_queue_url)):
        if url:
            checks.append(run(name, partial(_queue, name, url), NO_WAY_OUT))
    checks.append(examine_tokens(settings))
    if settings.integrations_key_id:
        checks.append(run("providers' secrets", partial(_key, settings.integrations_key_id), NO_KEY))
    checks += examine_recipients(settings.system_jobs_alert_email)
    return report(checks + examine_mail(settings.mail_from))


def send_test_mail(*, to: str, db: Database, settings: Settings) -> dict[str, Any]:
    """Send a mail through outbox, queue and notify function, like every mail, and return ``{"mail"}``.

    To learn whether it was sent, the caller uses the command ``mail``.
    """
    if not is_mail_address(to):
        raise Refused(f"to must be a mail address, got {shown(to)}")
    content = {
        "subject": "Nightshift: a test mail",
        "lines": ["This mail was sent through Nightshift's outbox, its queue and SES.", "No action is needed."],
    }
    [row] = db.query("insert_test_mail", recipient=to, content=content)
    outbox.send_messages([row], settings=settings)
    return view_mail(mail_id=row["id"], db=db, settings=settings)


def view_mail(*, mail_id: UUID, db: Database, settings: Settings) -> dict[str, Any]:
    """Return ``{"mail": {"id", "recipient", "status", "attempts", "error", "created_at", "ended_at"}}``."""
    row = db.one("get_mail", again_if_gone=True, id=str(mail_id))
    if row is None:
        raise NotFound(f"Unknown mail {mail_id}")
    return {"mail": mail_as_json(row)}


NO_DATABASE = "Start the database, or check DatabaseHost, its security group and DatabaseCaFile."
NO_WAY_OUT = "Give the functions' subnets a route out: a NAT gateway, or a VPC endpoint for an AWS service."
NO_KEY = "Enable the key in KMS, or cancel its deletion. Providers' secrets cannot be read without it."


def _reach(db: Database) -> Check:
    db.query("ping", again_if_gone=True)
    return green("database", "it answers")


def _database(db: Database) -> Check:
    [found] = db.query("describe_database")
    says = f"Postgres {found['version']}, time zone {found['timezone']}"
    try:
        db.require_writable()
    except DatabaseReadOnly as exc:
        return red("database", f"{says}. {exc}", do=READ_ONLY)
    if found["version_num"] // 10000 < OLDEST_POSTGRES:
        return red("database", says, do=f"Upgrade it: Nightshift needs Postgres {OLDEST_POSTGRES} or newer.")
    if found["timezone"] != "UTC":
        return red("database", says, do="ALTER ROLE nightshift_app SET timezone = 'UTC';")
    return green("database", says)


def _migrations(db: Database) -> Check:
    applied = {row["name"] for row in db.query("list_migrations")}
    # If the platform brings its own tables, their migrations are not ours to apply.
    folders = ["jobs", *({"platform"} & {name.partition("/")[0] for name in applied})]
    shipped = {name for folder in folders for name in _shipped(sql_directory() / folder)}
    if missing := sorted(shipped - applied):
        return red("migrations", f"not applied: {_listed(missing)}", do="Invoke MigrateFunction, or deploy again.")
    if unknown := sorted(applied - shipped):
        return red(
            "migrations",
            f"applied by a newer release: {_listed(unknown)}",
            do="Deploy that release again, or restore the database to its state before that release.",
        )
    return green("migrations", f"{len(applied)} applied, none missing")


def _shipped(folder: Path) -> list[str]:
    return [f"{folder.name}/{path.stem}" for path in folder.glob("[0-9]*.sql")]


def _rights(db: Database) -> Check:
    lacking = [row["lacking"] for row in db.query("missing_rights")]
    if lacking:
        return red("rights", _listed(lacking), do="Invoke MigrateFunction. Grant any rest as the schema owner.")
    # Postgres cannot distinguish a row that a view hides from a missing row; the operator can.
    views = [f"{row['name']} is {row['kind']}" for row in db.query("list_views", tables=list(PLATFORM_TABLES))]
    shown = f"; {', '.join(views)}: rows that it does not select are invisible" if views else ""
    return green("rights", f"the functions' roles have the rights and time limits that they need{shown}")


def _settings(db: Database) -> Check:
    rows = unpinned(db)
    if not rows:
        return green("settings", "pinned for the functions' roles in this database")
    found = [
        f"{row['subject']}: {row['setting']} is "
        + (f"{row['found']}, not {row['wanted']}" if row["found"] is not None else f"not pinned to {row['wanted']}")
        for row in rows
    ]
    return red("settings", _listed(found), do=f"Invoke MigrateFunction, or run as the operator: {rows[0]['statement']}")


def _provider(url: str) -> Check:
    import urllib3

    # Any status proves that the provider is reachable.
    answer = urllib3.request("GET", url, timeout=PROVIDER_TIMEOUT_S, retries=False)
    return green("RevenueCat access", f"{url} responds with status {answer.status}")


def _queue(name: str, url: str) -> Check:
    waits = "ApproximateNumberOfMessages"
    count = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[waits])["Attributes"][waits]
    return green(name, f"reachable, about {count} waiting")


def _key(key_id: str) -> Check:
    name, state = "providers' secrets", client("kms").describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"]
    return green(name, "enabled") if state == "Enabled" else red(name, f"the key is {state}", do=NO_KEY)


def _listed(names: Sequence[str], *, at_most: int = 3) -> str:
    more = len(names) - at_most
    return "; ".join(names[:at_most]) + (f" and {more} more" if more > 0 else "")
