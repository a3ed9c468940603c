"""Mails and events in the outbox, the functions that send them, and an SES that accepts or refuses mails."""

import json
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

from nightshift.aws import clients
from nightshift.base import settings as settings_module
from tests.support import ses as ses_server
from tests.support.fixtures import CONTEXT, load_function
from tests.support.world import trigger

SENDER = "nightshift@owls.example"
OWNER = "owner@server.example"
# The function's own time-out.
AS_LONG_AS_IT_HAS = SimpleNamespace(**vars(CONTEXT) | {"get_remaining_time_in_millis": lambda: 30_000})


@pytest.fixture
def ses():
    with ses_server.serve() as ses:
        yield ses


@pytest.fixture
def configure(cloud, monkeypatch):
    """``configure(NAME=value)``: set environment variables of the function."""

    def configure(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings_module.settings.cache_clear()
        clients.client.cache_clear()

    return configure


def notified(outbox_id):
    """Deliver the message for this row once."""
    message = json.loads(Path("events/notify.json").read_text())
    message["Records"][0]["body"] = json.dumps({"outbox_id": str(outbox_id)})
    load_function("notify").handler(message, AS_LONG_AS_IT_HAS)


def announced(*outbox_ids):
    """Deliver the messages for these rows in one batch. Return the ids of those that are to be delivered again."""
    [record, *_] = json.loads(Path("events/announce.json").read_text())["Records"]
    named = {f"message-{number}": str(outbox_id) for number, outbox_id in enumerate(outbox_ids)}
    records = [
        record | {"messageId": name, "body": json.dumps({"outbox_id": outbox_id})} for name, outbox_id in named.items()
    ]
    answer = load_function("announce").handler({"Records": records}, AS_LONG_AS_IT_HAS)
    return [named[failure["itemIdentifier"]] for failure in answer["batchItemFailures"]]


def end(owner, run_id, status="completed", *, result=None, error=None):
    """End the run in one UPDATE, as worker, sweep and cancel do. Return the ids of its mails."""
    result = f"'{json.dumps(result or {'synced': 7})}'" if status == "completed" else "NULL"
    error = f"'{error or 'It broke'}'" if status == "failed" else "NULL"
    owner.run_script(
        f"UPDATE job_runs SET status = '{status}', result = {result}, error = {error}, resend_at = NULL,"
        f" started_at = clock_timestamp(), completed_at = clock_timestamp() WHERE id = '{run_id}'"
    )
    return [row[0] for row in owner.run_script(f"SELECT id FROM job_outbox WHERE run_id = '{run_id}'")]


def project_run(team, *, db, settings, by, notify=True):
    return trigger(team, db=db, settings=settings, triggered_by=f"manual:{by}", notify=notify)["id"]


def system_run(owner, job_type="db_pruning"):
    run_id = uuid.uuid4()
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, triggered_by, resend_at)"
        f" VALUES ('{run_id}', '{job_type}', 'schedule', clock_timestamp())"
    )
    return run_id


def alert(owner, subject="A slot was missed"):
    content = json.dumps({"subject": subject, "lines": ["The schedule did not fire."]})
    return owner.run_script(f"INSERT INTO job_outbox (content) VALUES ('{content}') RETURNING id")[0][0]


def mail(owner, outbox_id):
    return SimpleNamespace(
        **owner.run_script(f"SELECT to_jsonb(job_outbox) FROM job_outbox WHERE id = '{outbox_id}'")[0][0]
    )


def age(owner, outbox_id, seconds):
    owner.run_script(
        f"UPDATE job_outbox SET send_at = send_at - interval '{seconds} s',"
        f" retry_at = retry_at - interval '{seconds} s',"
        f" claimed_until = claimed_until - interval '{seconds} s' WHERE id = '{outbox_id}'"
    )


def waits_s(owner, outbox_id):
    """Return the seconds until the sweep sends again."""
    waits = (
        f"SELECT round(extract(epoch FROM send_at - clock_timestamp()))::int FROM job_outbox WHERE id = '{outbox_id}'"
    )
    return owner.run_script(waits)[0][0]
