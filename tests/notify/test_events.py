"""The events that runs' endings put on an EventBridge bus (moto)."""

import json
import uuid
from types import SimpleNamespace

import boto3
import pytest

from nightshift.aws.aws_http import AwsRefused
from nightshift.base.settings import settings
from nightshift.notify import delivery, events
from nightshift.notify.outbox import want_events
from nightshift.testing.rows import make_team, run_row, work
from tests.support.fixtures import CONTEXT, load_function
from tests.support.mail_world import age, end, mail, notified, project_run, system_run, waits_s

BUS = "night-life"


@pytest.fixture
def bus(configure, cloud, monkeypatch):
    """``bus()``: return the entries that the bus has accepted since the last call."""
    configure(EVENT_BUS_NAME=BUS)
    boto3.client("events").create_event_bus(Name=BUS)
    taken = []

    def post(service, body, **_):
        answer = boto3.client(service).put_events(**body)
        taken.extend(entry for entry, said in zip(body["Entries"], answer["Entries"], strict=True) if "EventId" in said)
        return answer

    def heard():
        entries, taken[:] = taken[:], []
        assert {entry["EventBusName"] for entry in entries} <= {BUS}
        return [entry | {"Detail": json.loads(entry["Detail"])} for entry in entries]

    monkeypatch.setattr(events, "post", post)
    return heard


@pytest.fixture(autouse=True)
def wanted(owner):
    want_events(True, db=owner)


@pytest.fixture
def team(owner):
    return make_team(owner)


@pytest.fixture
def entries(monkeypatch):
    """Record requests to EventBridge. ``entries.answer`` is its answer to each entry, ``entries.error`` the error."""
    asked = SimpleNamespace(taken=[], answer={"EventId": "event-1"}, error=None)

    def post(service, body, **_):
        asked.taken += body["Entries"]
        if asked.error:
            raise asked.error
        return {"FailedEntryCount": int("ErrorCode" in asked.answer), "Entries": [asked.answer]}

    monkeypatch.setattr(events, "post", post)
    return asked


def rows(owner, run_id, kind="event"):
    found = owner.run_script(f"SELECT id FROM job_outbox WHERE run_id = '{run_id}' AND kind = '{kind}'")
    return [row[0] for row in found]


class TestWhoLeavesAnEvent:
    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
    def test_every_ending_of_every_run(self, status, team, owner, db, cloud, bus):
        by = f"user:{team.users['admin']}"
        for run_id in (project_run(team, db=db, settings=cloud, by=by, notify=False), system_run(owner)):
            end(owner, run_id, status)
            [event_id] = rows(owner, run_id)
            notified(event_id)
            [heard] = bus()
            run = run_row(owner, run_id)
            assert (heard["Source"], heard["DetailType"]) == ("nightshift", f"run {status}")
            assert heard["Detail"]["id"] == str(run_id)
            for name in ("job_type", "team_id", "project_id", "status", "triggered_by", "progress", "error", "result"):
                assert heard["Detail"][name] == run[name], name
            assert heard["Detail"]["completed_at"].endswith("Z")

    def test_a_mail_beside_it_is_another_row(self, team, owner, db, cloud):
        run_id = project_run(team, db=db, settings=cloud, by=f"user:{team.users['admin']}")
        assert len(end(owner, run_id)) == 2
        assert len(rows(owner, run_id)) == len(rows(owner, run_id, "mail")) == 1

    def test_none_where_the_deployment_has_no_bus(self, owner):
        want_events(False, db=owner)
        run_id = system_run(owner)
        end(owner, run_id)
        assert rows(owner, run_id) == []

    def test_the_deployment_says_whether(self, owner, cloud, monkeypatch):
        monkeypatch.setenv("DATABASE_USER", "postgres")
        app = load_function("migrate")
        for name, expected in (("", False), ("default", True)):
            monkeypatch.setenv("EVENT_BUS_NAME", name)
            settings.cache_clear()
            app.handler({}, CONTEXT)
            assert owner.run_script("SELECT wants_events FROM job_deployment") == [[expected]]

    def test_two_of_one_run_cannot_be(self, owner):
        run_id = system_run(owner)
        end(owner, run_id)
        with pytest.raises(Exception, match="job_outbox_once"):
            owner.run_script(f"INSERT INTO job_outbox (run_id, kind) VALUES ('{run_id}', 'event')")

    def test_the_owners_view_lists_mails_alone(self, owner, dead_letter_queues):
        run_id = system_run(owner)
        end(owner, run_id)
        seen = load_function("operate").handler({"command": "view", "run_id": str(run_id)}, CONTEXT)
        assert [mail["id"] for mail in seen["mails"]] == [str(id_) for id_ in rows(owner, run_id, "mail")]
        [event_id] = rows(owner, run_id)
        assert "error" in load_function("operate").handler({"command": "mail", "mail_id": str(event_id)}, CONTEXT)


class TestOneEvent:
    @pytest.fixture
    def event_id(self, owner, configure):
        configure(EVENT_BUS_NAME=BUS)
        run_id = system_run(owner)
        end(owner, run_id)
        return rows(owner, run_id)[0]

    def test_from_the_ending_to_the_bus(self, team, owner, db, cloud, bus):
        """The worker ends the run, and the function gets the worker's own message."""
        run_id = project_run(team, db=db, settings=cloud, by="user:somebody", notify=False)
        work(run_id, 0, db=db, settings=cloud)
        [message] = boto3.client("sqs").receive_message(QueueUrl=cloud.notify_queue_url)["Messages"]
        for _ in range(2):  # although the message arrives twice
            notified(json.loads(message["Body"])["outbox_id"])
        [heard] = bus()
        assert heard["DetailType"] == "run failed"
        assert heard["Detail"]["error"].startswith("This project has no RevenueCat integration")

    def test_an_entry_that_was_refused_for_now_is_tried_again(self, event_id, owner, entries):
        """The call itself answers 200."""
        entries.answer = {"ErrorCode": "ThrottlingException", "ErrorMessage": "Slow down"}
        notified(event_id)
        row = mail(owner, event_id)
        assert (row.status, row.error) == ("unsent", "ThrottlingException: Slow down")
        entries.answer = {"EventId": "event-7"}
        age(owner, event_id, waits_s(owner, event_id) + 1)
        notified(event_id)
        row = mail(owner, event_id)
        assert (row.status, row.message_id, row.error, row.attempts) == ("sent", "event-7", None, 2)

    @pytest.mark.parametrize("code", ["AccessDeniedException", "InternalFailure", "ResourceNotFoundException"])
    def test_a_call_that_failed_is_tried_again(self, event_id, owner, entries, code):
        entries.error = AwsRefused("events", code, "No", passing=False)
        notified(event_id)
        assert mail(owner, event_id).status == "unsent"

    @pytest.mark.parametrize("code", ["MalformedDetail", "NotAuthorizedForSourceException"])
    def test_what_is_refused_for_good_has_failed(self, event_id, owner, entries, code):
        entries.answer = {"ErrorCode": code, "ErrorMessage": "Never"}
        notified(event_id)
        row = mail(owner, event_id)
        assert (row.status, row.error, row.send_at) == ("failed", f"{code}: Never", None)

    def test_after_a_day_it_is_given_up(self, event_id, owner, entries):
        owner.run_script(
            f"UPDATE job_outbox SET attempts = {delivery.MAX_ATTEMPTS}, error = 'Slow' WHERE id = '{event_id}'"
        )
        notified(event_id)
        assert mail(owner, event_id).error == "Gave up after 29 attempts: Slow"
        assert entries.taken == []

    def test_a_bus_that_was_taken_away_since_is_nothing_wanted(self, event_id, owner, entries, configure):
        configure(EVENT_BUS_NAME="")
        notified(event_id)
        assert mail(owner, event_id).status == "unwanted"
        assert entries.taken == []

    def test_no_sender_of_mails_is_no_matter(self, event_id, owner, entries, configure):
        configure(MAIL_FROM="")
        notified(event_id)
        assert mail(owner, event_id).status == "sent"
        assert entries.taken[0]["EventBusName"] == BUS

    def test_a_long_result_is_left_to_whoever_asks_for_it(self, owner, entries, configure):
        configure(EVENT_BUS_NAME=BUS)
        for letters in (8_000, 9_000):
            run_id = system_run(owner, f"job of {letters}")
            end(owner, run_id, result={"text": "x" * letters})
            notified(rows(owner, run_id)[0])
        short, long = (json.loads(entry["Detail"]) for entry in entries.taken)
        assert len(short["result"]["text"]) == 8_000
        assert "result" not in long

    def test_counts(self, event_id, entries, capsys):
        for entries.answer in ({"ErrorCode": "ThrottlingException"}, {"EventId": "e"}):
            notified(event_id)
        assert "EventsRetried" in capsys.readouterr().out

    def test_a_dead_letter_about_it_says_what_it_is(self, event_id, db):
        [row] = db.query("statuses_of_outbox", ids=[str(event_id), str(uuid.uuid4())])
        assert (row["kind"], row["status"]) == ("event", "unsent")
