"""The events that runs' endings put on an EventBridge bus (moto)."""

import json
import uuid
from types import SimpleNamespace

import boto3
import pytest
from pg8000.exceptions import DatabaseError

from nightshift.aws.aws_http import AwsRefused, AwsUnreachable
from nightshift.base.errors import ConfigurationError, DatabaseGone
from nightshift.base.settings import settings
from nightshift.notify import announcement, attempts, events
from nightshift.notify.outbox import want_events
from nightshift.testing.rows import make_team, run_row, work
from tests.support.fixtures import CONTEXT, ROLES, load_function
from tests.support.mail_world import age, alert, announced, end, mail, project_run, system_run, waits_s

BUS = "night-life"


def left():
    return 30


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
    """Record requests to EventBridge.

    ``entries.answer`` is its answer to each entry, ``entries.error`` the error. ``entries.refused`` are the runs whose
    entries it refuses, and ``entries.poison`` those for which it refuses the whole call.
    """
    asked = SimpleNamespace(taken=[], calls=[], answer={"EventId": "event-1"}, error=None, refused={}, poison=set())

    def post(service, body, **_):
        asked.taken += body["Entries"]
        run_ids = [json.loads(entry["Detail"])["id"] for entry in body["Entries"]]
        asked.calls.append(run_ids)
        if asked.error:
            raise asked.error
        if asked.poison & set(run_ids):
            raise AwsRefused("events", "ValidationException", "Too large", passing=False)
        return {"Entries": [asked.refused.get(run_id, asked.answer) for run_id in run_ids]}

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
            announced(event_id)
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


@pytest.fixture
def ten(owner, configure):
    """Ten events, as {run id: outbox id}."""
    configure(EVENT_BUS_NAME=BUS)
    run_ids = [str(system_run(owner, f"job {number}")) for number in range(10)]
    for run_id in run_ids:
        end(owner, run_id)
    return {run_id: rows(owner, run_id)[0] for run_id in run_ids}


def statuses(owner, ten):
    return {run_id: mail(owner, outbox_id).status for run_id, outbox_id in ten.items()}


def poisoned(owner, statement, outbox_id):
    """Let this row raise when the statement (of the claim or of the outcome) updates it."""
    owner.run_script(
        "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poison'; END $$;"
        f"CREATE TRIGGER poison BEFORE UPDATE ON job_outbox FOR EACH ROW WHEN (NEW.id = '{outbox_id}' AND {statement})"
        " EXECUTE FUNCTION poison()"
    )


CLAIM, OUTCOME = "NEW.attempts > OLD.attempts", "NEW.attempts = OLD.attempts"


class TestTenEvents:
    def test_they_are_one_claim_one_call_and_one_outcome(self, ten, owner, db, entries):
        config = settings()
        before = db.statements
        assert announcement.announce([str(id_) for id_ in ten.values()], db=db, settings=config, remaining_s=left) == []
        assert db.statements - before == 2
        assert [sorted(call) for call in entries.calls] == [sorted(ten)]
        assert set(statuses(owner, ten).values()) == {"sent"}

    def test_an_entry_that_is_refused_is_tried_again_alone(self, ten, owner, entries):
        bad, worse, *good = ten
        entries.refused = {bad: {"ErrorCode": "ThrottlingException", "ErrorMessage": "Slow down"}}
        entries.refused |= {worse: {"ErrorCode": "MalformedDetail", "ErrorMessage": "Never"}}
        assert announced(*ten.values()) == []
        assert statuses(owner, ten) == {bad: "unsent", worse: "failed", **dict.fromkeys(good, "sent")}
        assert mail(owner, ten[bad]).error == "ThrottlingException: Slow down"
        entries.refused, entries.calls[:] = {}, []
        age(owner, ten[bad], waits_s(owner, ten[bad]) + 1)
        announced(*ten.values())
        assert entries.calls == [[bad]]
        assert statuses(owner, ten)[bad] == "sent"

    def test_an_event_for_which_the_whole_call_is_refused_costs_itself_alone(self, ten, owner, entries):
        bad, *good = ten
        entries.poison = {bad}
        assert announced(*ten.values()) == []
        assert statuses(owner, ten) == {bad: "failed", **dict.fromkeys(good, "sent")}
        assert [len(call) for call in entries.calls] == [10] + [1] * 10

    @pytest.mark.parametrize(
        "error", [AwsUnreachable("no answer"), AwsRefused("events", "ThrottlingException", "Slow", passing=True)]
    )
    def test_a_bus_in_trouble_is_asked_once(self, ten, owner, entries, error):
        entries.error = error
        assert announced(*ten.values()) == []
        assert set(statuses(owner, ten).values()) == {"unsent"}
        assert len(entries.calls) == 1

    def test_an_answer_for_fewer_events_counts_for_none(self, ten, owner, monkeypatch):
        monkeypatch.setattr(events, "post", lambda *_, **__: {"Entries": [{"EventId": "one"}]})
        announced(*ten.values())
        assert {mail(owner, id_).error for id_ in ten.values()} == {"EventBridge answered for 1 of 10 events"}

    @pytest.mark.parametrize("statement", [CLAIM, OUTCOME])
    def test_a_row_that_cannot_be_written_costs_itself_alone(self, ten, owner, entries, statement):
        bad, *good = ten
        poisoned(owner, statement, ten[bad])
        assert announced(*ten.values()) == [str(ten[bad])]
        assert statuses(owner, ten) == {bad: "unsent", **dict.fromkeys(good, "sent")}
        assert len([run_id for call in entries.calls for run_id in call]) == len(ten) - (statement == CLAIM)

    def test_a_row_that_another_session_holds_costs_itself_alone(self, ten, owner, connect, entries):
        held, *good = ten
        other = connect(user="postgres")
        with other.transaction():
            other.run_script(f"SELECT FROM job_outbox WHERE id = '{ten[held]}' FOR UPDATE")
            assert announced(*ten.values()) == []
        assert statuses(owner, ten) == {held: "unsent", **dict.fromkeys(good, "sent")}

    def test_what_concerns_every_row_is_an_error_of_the_function(self, ten, owner, entries):
        owner.run_script(f"REVOKE UPDATE ON job_outbox FROM {ROLES}")
        with pytest.raises(DatabaseError):
            announced(*ten.values())
        assert entries.calls == []

    def test_a_database_that_is_away_is_asked_once(self, ten, configure, caplog):
        configure(DATABASE_PORT="1")
        load_function("announce").database.cache_clear()
        with pytest.raises(DatabaseGone):
            announced(*ten.values())
        assert "batch_failed" not in [record.action for record in caplog.records if record.name == "nightshift"]

    def test_nothing_to_send_costs_nothing_more(self, owner, db, configure, entries):
        configure(EVENT_BUS_NAME=BUS)
        config, before = settings(), db.statements
        assert announcement.announce([], db=db, settings=config, remaining_s=left) == []
        assert db.statements == before
        announcement.announce([str(alert(owner))], db=db, settings=config, remaining_s=left)
        assert (db.statements - before, entries.calls) == (1, [])

    def test_without_credentials_each_is_tried_again(self, ten, owner, entries):
        entries.error = ConfigurationError("No credentials")
        announced(*ten.values())
        assert {mail(owner, id_).error for id_ in ten.values()} == {"No credentials"}

    def test_a_message_that_came_twice_counts_once(self, ten, owner, entries):
        [run_id, *_] = ten
        assert announced(ten[run_id], ten[run_id]) == []
        assert entries.calls == [[run_id]]
        assert mail(owner, ten[run_id]).attempts == 1

    def test_a_mail_in_the_queue_of_events_is_left_to_the_sweep(self, owner, configure, entries):
        """As after a change of the template, when messages are still under way."""
        outbox_id = alert(owner)
        assert announced(outbox_id) == []
        assert (mail(owner, outbox_id).attempts, entries.calls) == (0, [])

    def test_ten_of_the_largest_fit_into_one_call(self, ten, owner, entries):
        owner.run_script(
            "UPDATE job_runs SET status = 'failed', result = NULL, error = repeat(chr(1), 2000),"
            """ progress = jsonb_build_object('processed', 1, 'total', 1, 'message', repeat(chr(1), 500))"""
        )
        announced(*ten.values())
        sizes = [len(entry["Detail"].encode()) for entry in entries.taken]
        assert len(sizes) == 10
        # Without an error a run may have a result, and has less than this.
        assert sum(sizes) + 10 * events.MAX_RESULT_BYTES + 10 * 100 < 256 * 1024


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
        [message] = boto3.client("sqs").receive_message(QueueUrl=cloud.announce_queue_url)["Messages"]
        assert "Messages" not in boto3.client("sqs").receive_message(QueueUrl=cloud.notify_queue_url)
        for _ in range(2):  # although the message arrives twice
            announced(json.loads(message["Body"])["outbox_id"])
        [heard] = bus()
        assert heard["DetailType"] == "run failed"
        assert heard["Detail"]["error"].startswith("This project has no RevenueCat integration")

    def test_an_entry_that_was_refused_for_now_is_tried_again(self, event_id, owner, entries):
        """The call itself answers 200."""
        entries.answer = {"ErrorCode": "ThrottlingException", "ErrorMessage": "Slow down"}
        announced(event_id)
        row = mail(owner, event_id)
        assert (row.status, row.error) == ("unsent", "ThrottlingException: Slow down")
        entries.answer = {"EventId": "event-7"}
        age(owner, event_id, waits_s(owner, event_id) + 1)
        announced(event_id)
        row = mail(owner, event_id)
        assert (row.status, row.message_id, row.error, row.attempts) == ("sent", "event-7", None, 2)

    @pytest.mark.parametrize("code", ["AccessDeniedException", "InternalFailure", "ResourceNotFoundException"])
    def test_a_call_that_failed_is_tried_again(self, event_id, owner, entries, code):
        entries.error = AwsRefused("events", code, "No", passing=False)
        announced(event_id)
        assert mail(owner, event_id).status == "unsent"

    @pytest.mark.parametrize("code", ["MalformedDetail", "NotAuthorizedForSourceException"])
    def test_what_is_refused_for_good_has_failed(self, event_id, owner, entries, code):
        entries.answer = {"ErrorCode": code, "ErrorMessage": "Never"}
        announced(event_id)
        row = mail(owner, event_id)
        assert (row.status, row.error, row.send_at) == ("failed", f"{code}: Never", None)

    def test_after_a_day_it_is_given_up(self, event_id, owner, entries):
        owner.run_script(
            f"UPDATE job_outbox SET attempts = {attempts.MAX_ATTEMPTS}, error = 'Slow' WHERE id = '{event_id}'"
        )
        announced(event_id)
        assert mail(owner, event_id).error == "Gave up after 29 attempts: Slow"
        assert entries.taken == []

    def test_a_bus_that_was_taken_away_since_is_nothing_wanted(self, event_id, owner, entries, configure):
        configure(EVENT_BUS_NAME="")
        announced(event_id)
        assert mail(owner, event_id).status == "unwanted"
        assert entries.taken == []

    def test_no_sender_of_mails_is_no_matter(self, event_id, owner, entries, configure):
        configure(MAIL_FROM="")
        announced(event_id)
        assert mail(owner, event_id).status == "sent"
        assert entries.taken[0]["EventBusName"] == BUS

    def test_a_long_result_is_left_to_whoever_asks_for_it(self, owner, entries, configure):
        configure(EVENT_BUS_NAME=BUS)
        for letters in (8_000, 9_000):
            run_id = system_run(owner, f"job of {letters}")
            end(owner, run_id, result={"text": "x" * letters})
            announced(rows(owner, run_id)[0])
        short, long = (json.loads(entry["Detail"]) for entry in entries.taken)
        assert len(short["result"]["text"]) == 8_000
        assert "result" not in long

    def test_counts(self, event_id, entries, capsys):
        for entries.answer in ({"ErrorCode": "ThrottlingException"}, {"EventId": "e"}):
            announced(event_id)
        assert "EventsRetried" in capsys.readouterr().out

    def test_a_dead_letter_about_it_says_what_it_is(self, event_id, db):
        [row] = db.query("statuses_of_outbox", ids=[str(event_id), str(uuid.uuid4())])
        assert (row["kind"], row["status"]) == ("event", "unsent")
