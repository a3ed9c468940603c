"""Fixtures for tests of guarded statements: one database, emptied after each test, and connections at constant noon."""

import itertools
import os
from types import SimpleNamespace

import pytest

from nightshift.database.queries import Database
from nightshift.database.session_pins import pin_session
from nightshift.testing.database_copy import copy_database
from nightshift.testing.rows import make_team
from tests.guarded.world_at_noon import NOON
from tests.support.fixtures import settings_for

STOPPED_CLOCK = """
CREATE SCHEMA stopped;
GRANT USAGE ON SCHEMA stopped TO PUBLIC;
CREATE FUNCTION stopped.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz '{noon}' $$;
CREATE FUNCTION stopped.statement_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz '{noon}' $$;
"""

AT_NOON = "stopped, pg_catalog, public"

# Referencing tables come before the tables that they refer to.
EMPTIED = (
    *("job_slices", "job_outbox", "job_runs", "job_schedule_slots", "job_schedules", "job_successes", "job_pauses"),
    *("job_set_aside", "job_mail_shares", "job_audit_entries", "job_team_schedules", "job_team_slots"),
    *("job_agent_keys", "job_project_pauses", "job_places", "job_run_logs", "job_log_shares", "job_days"),
    *("job_sign_ins", "job_sign_in_shares", "job_sessions"),
    *("job_bulk_items", "job_bulk_actions"),
    *("job_alert_deliveries", "job_alert_addresses", "job_alerts"),
    *("app_users", "api_keys", "project_integrations", "projects", "team_members", "teams", "users"),
)
EMPTY = ";".join(
    [
        *(f"DELETE FROM {table}" for table in EMPTIED),
        "UPDATE job_deployment SET wants_events = false",
        "UPDATE job_sweep SET came_at = '2000-01-01', alerts_until = '2000-01-01', logs_until = '2000-01-01',"
        " counted_until = '2000-01-01'",
    ]
)

_serial = itertools.count()


@pytest.fixture(scope="session")
def connections(postgres, superuser, template):
    """Open connections to a database. The tests may change only its rows."""
    name = f"guarded_{os.getpid()}_{next(_serial)}"
    copy_database(superuser, template, name)
    settings, operators = settings_for(postgres, name), settings_for(postgres, name, user="postgres")
    owner, owner_at_noon = Database(operators), Database(operators)
    for db in (owner, owner_at_noon):
        pin_session(db)
    owner.run_script(STOPPED_CLOCK.format(noon=NOON.isoformat()))
    owner_at_noon.run_script(f"SET search_path = {AT_NOON}")
    noon = Database(settings, search_path=AT_NOON, lock_timeout="1ms")
    patient = Database(settings)
    yield SimpleNamespace(owner=owner, owner_at_noon=owner_at_noon, noon=noon, patient=patient)
    for db in (owner, owner_at_noon, noon, patient):
        db.close()
    superuser.run_script(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def owner(connections):
    """Connect as the schema owner, to arrange and inspect rows."""
    yield connections.owner
    for db in (connections.noon, connections.owner_at_noon, connections.owner):
        db.rollback()
    connections.owner.run_script(EMPTY)


@pytest.fixture
def owner_at_noon(connections, owner):
    """Connect as the schema owner, with the clock at noon."""
    return connections.owner_at_noon


@pytest.fixture
def patient(connections, owner):
    """Connect as the functions do. This connection waits for locks."""
    return connections.patient


@pytest.fixture
def noon(connections, owner):
    """Connect as the functions do, with the clock at noon and without waiting for locks."""
    yield connections.noon
    connections.noon.rollback()
    connections.noon.run_script("RESET statement_timeout")


@pytest.fixture
def team(owner):
    return make_team(owner)


@pytest.fixture
def other(owner):
    return make_team(owner, slug="other")
