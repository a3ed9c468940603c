"""Real Postgres for every test: one server per run, one fresh copy of the migrated database per test."""

import dataclasses
import gc
import importlib
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import hypothesis
import pytest
from moto import mock_aws

from api import database_probe
from local import roles
from local.ports import free_port
from local.postgres import Postgres
from nightshift.aws import aws_http, clients
from nightshift.base import settings as settings_module
from nightshift.base.settings import Settings
from nightshift.database import queries
from nightshift.database.migrations import create_first_partitions, migrate
from nightshift.database.queries import Database
from nightshift.database.session_pins import pin_session
from nightshift.jobs.rights import declare_rights
from nightshift.tenants import jwks, sign_in_codes, tokens
from nightshift.testing.database_copy import copy_database
from tests.support import hostile, moto_server

# On a busy machine examples are slow, so none may fail because of its duration.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

_serial = itertools.count()

# A test plays several functions in one session, so its role is a member of their roles. Each function has a role of its
# own in the simulation, in the local stack and in tests/database/test_rights.py.
TESTS = "nightshift_tests"
# The functions' roles, for GRANT and REVOKE.
ROLES = ", ".join(roles.FUNCTIONS)
MAKE_TESTS = f"""
    CREATE ROLE {TESTS} LOGIN;
    GRANT nightshift_api, nightshift_worker, nightshift_sweep, nightshift_notify, nightshift_operate TO {TESTS};
    GRANT nightshift_deliver TO {TESTS};
    SET allow_system_table_mods = on;
    INSERT INTO pg_db_role_setting SELECT setdatabase, '{TESTS}'::regrole, setconfig
        FROM pg_db_role_setting WHERE setrole = 'nightshift_worker'::regrole;
"""

LONGEST = {
    *("test_chaos", "test_hostile_settings", "test_previous_release", "test_growth", "test_simulation"),
    *("test_venv", "test_ports", "test_benchmarks"),
}

# Linux's file system in memory. A server of the tests needs less than 1 GB.
IN_MEMORY = Path("/dev/shm")
ROOM = 6 * 2**30


def pytest_configure() -> None:
    """Heed SIGINT where a script started pytest in the background, which ignores it: tests send it to what they start.

    An ignored signal stays ignored in each process that is started from here.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest tests begin first, so that no process ends long after the others.

    Among hostile settings, keep one case of each test: a setting acts on statements, which its cases share.
    """
    items.sort(key=lambda item: item.path.stem not in LONGEST)
    if hostile.ASKED_FOR in os.environ:
        items[:] = {item.nodeid.partition("[")[0]: item for item in reversed(items)}.values()
        items.reverse()


def pytest_collection_finish() -> None:
    """Keep the garbage collector from looking, throughout the run, at the millions of objects that imports made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable(report: pytest.TestReport) -> Generator[None, dict[str, Any] | None, Any]:
    """Replace characters that UTF-8 cannot encode: pytest-xdist's workers exchange captured output as UTF-8."""
    data = yield
    if data and "sections" in data:
        data["sections"] = [(name, text.encode("utf-8", "replace").decode()) for name, text in data["sections"]]
    return data


def has_room() -> bool:
    """Return whether the file system in memory has room for what the tests keep there."""
    return IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ROOM


@contextmanager
def throwaway_postgres(password: str = "") -> Iterator[Postgres]:
    """Run a server in a folder of its own, in memory where that has room. With a password, all have to give theirs.

    A database has 500 files, and each test creates and removes one. In memory that takes a third of the time.

    The folder is not below pytest's root folder. Each start of pytest, also by another session, closes that folder to
    other users, and where root runs the tests, the server runs as another user.
    """
    with tempfile.TemporaryDirectory(prefix="nightshift-tests-", dir=IN_MEMORY if has_room() else None) as folder:
        server = Postgres(Path(folder) / "postgres", free_port(), password)
        # New statistics would change plans, and with them the order of rows, at a moment that no test decides.
        server.start(fsync="off", full_page_writes="off", autovacuum="off")
        try:
            yield server
        finally:
            server.stop("immediate")


@contextmanager
def superuser_of_a_new_server() -> Iterator[Database]:
    """Start a server for one test. Roles, their settings and tablespaces belong to the whole server."""
    with throwaway_postgres() as server:
        db = Database(settings_for(server, "postgres", user="postgres"))
        yield db
        db.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with throwaway_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def superuser(postgres: Postgres) -> Iterator[Database]:
    db = Database(settings_for(postgres, "postgres", user="postgres"))
    yield db
    db.close()


@pytest.fixture(scope="session")
def template(postgres: Postgres, superuser: Database) -> str:
    return make_template(postgres, superuser)


def make_template(postgres: Postgres, superuser: Database) -> str:
    """Create a migrated database and return its name. Each test gets a copy of it."""
    superuser.run_script("CREATE DATABASE nightshift_template")
    if hostile.ASKED_FOR in os.environ:
        hostile.spoil_server(superuser)
        hostile.spoil_database(superuser, "nightshift_template")
    owner = Database(settings_for(postgres, "nightshift_template", user="postgres"))
    if hostile.ASKED_FOR in os.environ:
        pin_session(owner)
        owner.run_script(hostile.NOTHING_FOR_PUBLIC)
    install(owner)
    create_first_partitions(owner, today=date.today())
    if hostile.ASKED_FOR in os.environ:
        owner.run_script(hostile.DOUBLES)
        hostile.spoil_roles(superuser, "nightshift_template")
    owner.close()
    return "nightshift_template"


def install(owner: Database) -> None:
    """Create the tables, the functions' roles, and the tests' role with the settings of the worker's."""
    migrate(owner)
    declare_rights(owner)
    owner.run_script(MAKE_TESTS)


@pytest.fixture
def source(template: str) -> str:
    """Return the database that each test gets a copy of. Tests that need many rows override it."""
    return template


@pytest.fixture
def config(postgres: Postgres, superuser: Database, source: str) -> Iterator[Settings]:
    """Return settings of a new database for this test. A class whose tests read only their own rows may share one."""
    with new_database(postgres, superuser, source) as settings:
        yield settings


@contextmanager
def new_database(postgres: Postgres, superuser: Database, source: str) -> Iterator[Settings]:
    name = f"test_{os.getpid()}_{next(_serial)}"
    copy_database(superuser, source, name)
    yield settings_for(postgres, name)
    superuser.run_script(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def connect(config: Settings) -> Iterator[Callable[..., Database]]:
    """``connect(user=…, **startup_params)``: open another connection to this test's database.

    Among hostile settings, a superuser's is pinned as the operator's is.
    """
    opened = []

    def connect(user: str = TESTS, **startup_params: str) -> Database:
        opened.append(Database(dataclasses.replace(config, database_user=user), **startup_params))
        if user == "postgres" and hostile.ASKED_FOR in os.environ:
            pin_session(opened[-1])
            opened[-1].run_script(";".join(f"SET {name} = '{value}'" for name, value in startup_params.items()))
        return opened[-1]

    yield connect
    for db in opened:
        db.close()


@pytest.fixture
def db(connect: Callable[..., Database]) -> Database:
    """Connect as the functions do."""
    return connect()


@pytest.fixture
def owner(connect: Callable[..., Database]) -> Database:
    """Connect as the schema owner, to arrange and inspect rows."""
    return connect(user="postgres")


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    with moto_server.serve() as url:
        yield url


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, config: Settings) -> Iterator[Settings]:
    """Set a function's environment variables for this test's Postgres, without AWS."""
    _forget_environment()
    _set_environment(monkeypatch, config)
    yield config
    _forget_environment()


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, environment: Settings, moto_endpoint: str) -> Iterator[Settings]:
    """Create a queue, a signing secret and a key (moto), and a function's environment for them and for Postgres."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, moto_server.REGION)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_endpoint)
    _forget_environment()
    with mock_aws():
        settings = dataclasses.replace(
            environment,
            notify_queue_url=moto_server.queue("notify"),
            announce_queue_url=moto_server.queue("announce"),
            deliver_queue_url=moto_server.queue("deliver"),
            queue_url=moto_server.queue("runs"),
            jwt_secret_id=moto_server.secret("jwt", JWT_SECRET),
            sign_in_secret_id=moto_server.secret("sign-in", SIGN_IN_SECRET),
            dashboard_url="https://jobs.owls.example/",
            integrations_key_id=moto_server.key(),
            mail_configuration_set="mails",
            # Nothing listens there, so no test calls the provider itself.
            revenuecat_url="http://127.0.0.1:9/v2",
        )
        _set_environment(monkeypatch, settings)
        yield settings
        _forget_environment()


def _set_environment(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    for name, value in dataclasses.asdict(settings).items():
        monkeypatch.setenv(name.upper(), str(value))


def _forget_environment() -> None:
    if queries.database.cache_info().currsize:
        queries.database().close()
    for cached in (
        settings_module.settings,
        queries.database,
        clients.client,
        tokens._secret,
        sign_in_codes._secret,
        jwks.key_set,
        aws_http._connections,
        database_probe._trouble_at,
    ):
        cached.cache_clear()


SIGN_IN_SECRET = "the secret of the codes"
JWT_SECRET = "a secret of a length that HS256 is happy with"


# The context that Lambda passes to a function together with its event.
CONTEXT = SimpleNamespace(
    function_name="function",
    memory_limit_in_mb=512,
    invoked_function_arn="arn",
    aws_request_id="request-1",
    get_remaining_time_in_millis=lambda: 60_000,
)


def load_function(name: str) -> ModuleType:
    """Import functions/<name>/app.py when a test needs it."""
    return importlib.import_module(f"{name}.app")


def settings_for(server: Postgres, database: str, user: str = TESTS) -> Settings:
    return Settings(database_host="127.0.0.1", database_port=server.port, database_name=database, database_user=user)
