"""Check a fresh installation, line by line. Slow checks (a run, a mail) only start here; the caller waits for them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from nightshift.aws.clients import client
from nightshift.base.errors import DatabaseReadOnly
from nightshift.base.settings import Settings
from nightshift.database.queries import Database, sql_directory
from nightshift.database.role_signin import wrong_sign_ins
from nightshift.database.session_pins import unpinned
from nightshift.operator.account_checks import checks_of_account
from nightshift.operator.checks import READ_ONLY, Check, Finding, green, red, report, run, run_all
from nightshift.operator.mail_checks import check_stops, checks_of_mail
from nightshift.operator.partition_checks import check_partitions
from nightshift.operator.token_checks import NO_KEYS, check_tokens

OLDEST_POSTGRES = 16
PLATFORM_TABLES = (
    "users", "teams", "team_members", "projects", "apps", "api_keys", "project_integrations", "app_users",
    "metric_definitions", "funnel_definitions", "events", "metric_events", "funnel_events",
)  # fmt: skip
PROVIDER_TIMEOUT_S = 5

AGAIN = "Deploy this release again."
NO_DATABASE = "Start the database, or check DatabaseHost, its security group and DatabaseCaFile."
NO_WAY_OUT = "Give the functions' subnets a route out: a NAT gateway, or a VPC endpoint for an AWS service."
NO_KEY = "Enable the key in KMS, or cancel its deletion. Providers' secrets cannot be read without it."


def examine(*, db: Database, settings: Settings) -> dict[str, Any]:
    """Return ``{"ok", "checks": [{"name", "ok", "says", "do"}]}``. A check that cannot run is red and says why."""
    lines = [run("database", partial(_reach, db), NO_DATABASE)]
    if lines[0]["ok"]:
        lines = run_all(_checks_in_database(db, settings))
    return report(lines + [run(*check) for check in _checks_elsewhere(settings)])


def _checks_in_database(db: Database, settings: Settings) -> list[Check]:
    return [
        Check("database", partial(_database, db), AGAIN),
        Check("migrations", partial(_migrations, db), AGAIN),
        Check("rights", partial(_rights, db), AGAIN),
        Check("sign-in", partial(_sign_in, db, settings), AGAIN),
        Check("settings", partial(_settings, db), AGAIN),
        Check("partitions", partial(check_partitions, db, settings), AGAIN),
        Check("stopped addresses", partial(check_stops, db, settings), AGAIN),
    ]


def _checks_elsewhere(settings: Settings) -> list[Check]:
    queues = {
        "run queue": settings.queue_url,
        "mail queue": settings.notify_queue_url,
        "event queue": settings.announce_queue_url,
        "alert queue": settings.deliver_queue_url,
    }
    key = settings.integrations_key_id
    return [
        Check("RevenueCat access", partial(_provider, settings.revenuecat_url), NO_WAY_OUT),
        *(Check(name, partial(_queue, url), NO_WAY_OUT) for name, url in queues.items() if url),
        Check("users' tokens", partial(check_tokens, settings), NO_KEYS),
        *([Check("providers' secrets", partial(_key, key), NO_KEY)] if key else []),
        *checks_of_mail(settings),
        *checks_of_account(settings),
    ]


class Server(NamedTuple):
    """The answer of describe_database.sql."""

    version: str
    version_num: int
    timezone: str
    role: str


def _reach(db: Database) -> Finding:
    db.query("ping", again_if_gone=True)
    return green("it answers")


def _database(db: Database) -> Finding:
    [found] = db.query_as(Server, "describe_database")
    says = f"Postgres {found.version}, time zone {found.timezone}"
    try:
        db.require_writable()
    except DatabaseReadOnly as exc:
        return red(f"{says}. {exc}", do=READ_ONLY)
    if found.version_num // 10000 < OLDEST_POSTGRES:
        return red(says, do=f"Upgrade it: Nightshift needs Postgres {OLDEST_POSTGRES} or newer.")
    if found.timezone != "UTC":
        return red(says, do=f"ALTER ROLE {found.role} SET timezone = 'UTC';")
    return green(says)


def _migrations(db: Database) -> Finding:
    applied: set[str] = {row["name"] for row in db.query("list_migrations")}
    # If the platform brings its own tables, their migrations are not ours to apply.
    folders = ["jobs", *({"platform"} & {name.partition("/")[0] for name in applied})]
    shipped = {name for folder in folders for name in _shipped(sql_directory() / folder)}
    if missing := sorted(shipped - applied):
        return red(f"not applied: {_listed(missing)}", do="Invoke MigrateFunction, or deploy again.")
    if unknown := sorted(applied - shipped):
        return red(
            f"applied by a newer release: {_listed(unknown)}",
            do="Deploy that release again, or restore the database to its state before that release.",
        )
    return green(f"{len(applied)} applied, none missing")


def _shipped(folder: Path) -> list[str]:
    return [f"{folder.name}/{path.stem}" for path in folder.glob("[0-9]*.sql")]


def _rights(db: Database) -> Finding:
    lacking: list[str] = [row["lacking"] for row in db.query("missing_rights")]
    if lacking:
        return red(_listed(lacking), do="Invoke MigrateFunction. Grant any rest as the schema owner.")
    # Postgres cannot distinguish a row that a view hides from a missing row; the operator can.
    views = [f"{row['name']} is {row['kind']}" for row in db.query("list_views", tables=list(PLATFORM_TABLES))]
    shown = f"; {', '.join(views)}: rows that it does not select are invisible" if views else ""
    return green(f"the functions' roles have the rights and time limits that they need{shown}")


def _sign_in(db: Database, settings: Settings) -> Finding:
    # The operator's function signs in like all others.
    tokens = settings.database_auth == "iam"
    if wrong := wrong_sign_ins(db, tokens=tokens):
        found = [f"{role} {says}" for role, says, _ in wrong]
        return red(_listed(found), do=f"Invoke MigrateFunction, or run as the schema owner: {wrong[0].statement}")
    return green(f"the functions' roles sign in with {'IAM tokens' if tokens else 'passwords'}")


def _settings(db: Database) -> Finding:
    rows = unpinned(db)
    if not rows:
        return green("pinned for the functions' roles in this database")
    found = [
        f"{row.subject}: {row.setting} is "
        + (f"{row.found}, not {row.wanted}" if row.found is not None else f"not pinned to {row.wanted}")
        for row in rows
    ]
    return red(_listed(found), do=f"Invoke MigrateFunction, or run as the operator: {rows[0].statement}")


def _provider(url: str) -> Finding:
    import urllib3

    # Any status proves that the provider is reachable.
    answer = urllib3.request("GET", url, timeout=PROVIDER_TIMEOUT_S, retries=False)
    return green(f"{url} responds with status {answer.status}")


def _queue(url: str) -> Finding:
    waits = "ApproximateNumberOfMessages"
    count: str = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[waits])["Attributes"][waits]
    return green(f"reachable, about {count} waiting")


def _key(key_id: str) -> Finding:
    state: str = client("kms").describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"]
    return green("enabled") if state == "Enabled" else red(f"the key is {state}", do=NO_KEY)


def _listed(names: Sequence[str], *, at_most: int = 3) -> str:
    more = len(names) - at_most
    return "; ".join(names[:at_most]) + (f" and {more} more" if more > 0 else "")
