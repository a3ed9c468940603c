"""Deliveries to endpoints that are slow, dead or lose answers: each arrives at least once, and in practice once."""

import json
from pathlib import Path

import pytest

from nightshift.alerts import delivering, team_alerts
from nightshift.alerts.endpoint_calls import Called
from nightshift.aws.clients import client
from nightshift.base.settings import settings
from tests.alerts.alert_world import AUTHOR, is_signed
from tests.support.fixtures import CONTEXT, load_function

DAY = 24 * 60


def test_a_webhook_gets_a_signed_message(world):
    alert = world.make(name="Nightly")
    run_id = world.end()
    assert world.minute(alert, 1) == 1
    [request] = world.endpoint.requests
    assert (request.method, request.path, request.headers["Content-Type"]) == ("POST", "/hook", "application/json")
    assert is_signed(request, alert["secret"])
    assert not is_signed(request._replace(body=request.body + b" "), alert["secret"])
    [body] = world.endpoint.bodies
    assert (body["type"], body["timestamp"]) == ("run.failed", body["data"]["completed_at"])
    data = body["data"]
    assert {name: data[name] for name in ("run_id", "job_type", "status", "error", "url")} == {
        "run_id": run_id,
        "job_type": "revenuecat_sync",
        "status": "failed",
        "error": "The provider refused the key",
        "url": f"https://jobs.example/runs/{run_id}",
    }
    assert data["alert"] == {"id": alert["id"], "name": "Nightly"}
    assert data["team"]["id"] == world.team.id
    assert data["project"] == {"id": world.team.project_id, "name": "Project 0"}
    assert not data.keys() & {"params", "result"}
    assert world.deliveries(alert) == [("failed", "sent")]


def test_the_message_of_the_queue_names_the_alert_and_its_team(world):
    alert = world.make()
    world.end()
    world.sweep(1)
    [message] = client("sqs").receive_message(
        QueueUrl=world.settings.deliver_queue_url, AttributeNames=["MessageGroupId"]
    )["Messages"]
    assert json.loads(message["Body"]) == {"alert_id": alert["id"]}
    assert message["Attributes"]["MessageGroupId"] == world.team.id


def test_the_function_delivers(world, monkeypatch):
    alert = world.make()
    world.end()
    world.sweep(-1)
    monkeypatch.setenv("ALERT_SINK_URL", world.endpoint.url)
    settings.cache_clear()
    message = json.loads(Path("events/deliver.json").read_text())
    message["Records"][0]["body"] = json.dumps({"alert_id": alert["id"]})
    load_function("deliver").handler(message, CONTEXT)
    assert world.endpoint.types == ["run.failed"]
    load_function("deliver").handler(message, CONTEXT)
    assert len(world.endpoint.requests) == 1


def test_a_lost_answer_sends_the_same_message_again(world):
    alert = world.make()
    world.end()
    world.endpoint.hangs_up = True
    world.minute(alert, 1)
    world.endpoint.hangs_up = False
    assert world.minute(alert, 2) == 1
    first, second = world.endpoint.requests
    assert (world.endpoint.ids[0], first.body) == (world.endpoint.ids[1], second.body)
    assert world.deliveries(alert) == [("failed", "sent")]


def test_messages_that_come_twice_find_nothing(world):
    alert = world.make()
    world.end()
    world.minute(alert, 1)
    assert world.deliver(alert, 1) == 0
    assert len(world.endpoint.requests) == 1


def test_a_function_that_dies_during_the_call_leaves_the_try_to_the_sweep(world, connect):
    alert = world.make()
    world.end()
    world.sweep(1)

    def dies(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.deliver(alert, 1, call=dies, remaining_s=30)
    assert world.minute(alert, 1) == 0  # the claim still counts
    assert world.minute(alert, 3) == 1
    assert world.endpoint.types == ["run.failed"]


def test_while_an_endpoint_is_called_another_message_finds_nothing(world, connect):
    alert = world.make()
    world.end()
    world.sweep(1)
    others = []

    def slow(*_):
        others.append(
            delivering.deliver(
                alert["id"],
                clock=lambda: world.at(1),
                db=connect(),
                settings=world.settings,
                remaining_s=lambda: 30,
            )
        )
        return Called(200, "ok")

    assert world.deliver(alert, 1, call=slow, remaining_s=30) == 1
    assert others == [0]
    assert world.endpoint.requests == []


def test_a_function_that_froze_changes_nothing(world, connect):
    alert = world.make()
    world.end()
    world.sweep(1)

    def freezes(*_):
        world.db = connect()
        world.minute(alert, 9)
        return Called(500, "", "It answered with HTTP 500")

    frozen = world.db
    delivering.deliver(
        alert["id"],
        clock=lambda: world.at(1),
        db=frozen,
        settings=world.settings,
        remaining_s=lambda: 30,
        call=freezes,
    )
    assert world.deliveries(alert) == [("failed", "sent")]
    assert world.alert(alert)["failing"] is None


class TestOutages:
    def test_of_less_than_a_day_loses_nothing_and_keeps_the_order(self, world):
        alert = world.make(events=("failed", "recovered"))
        world.endpoint.status = 503
        world.end("failed")
        world.minute(alert, 1)
        world.end("completed")
        calls = sum(world.minute(alert, minutes) for minutes in range(60, 22 * 60, 60))
        assert calls == 21
        assert world.alert(alert)["failing"]["failures"] == calls + 1
        assert world.deliveries(alert) == [("failed", "unsent"), ("recovered", "unsent")]
        world.endpoint.status = 200
        world.endpoint.requests.clear()
        assert world.minute(alert, 23 * 60) == 2
        assert world.endpoint.types == ["run.failed", "run.recovered"]
        assert world.deliveries(alert) == [("failed", "sent"), ("recovered", "sent")]
        assert world.alert(alert)["failing"] is None

    def test_of_more_than_a_day_pauses_the_alert_and_tells_the_team_once(self, world):
        alert = world.make()
        world.endpoint.status = 503
        world.end()
        for minutes in range(1, DAY + 120, 30):
            world.minute(alert, minutes)
        assert world.deliveries(alert) == [("failed", "failed")]
        paused = world.alert(alert)["paused"]
        assert paused["by"] == "nightshift"
        assert paused["why"].startswith("Its endpoint has accepted no message since ")
        assert paused["why"].endswith(" UTC. It answered with HTTP 503")
        assert sorted(recipient for recipient, _ in world.mails()) == ["admin@owls.example", "owner@owls.example"]
        calls = len(world.endpoint.requests)
        world.minute(alert, DAY + 300)
        assert len(world.endpoint.requests) == calls

    def test_an_endpoint_that_is_gone_is_paused_at_once(self, world):
        alert = world.make()
        world.endpoint.status = 410
        for _ in range(2):
            world.end()
        world.minute(alert, 1)
        world.sweep(2)
        assert len(world.endpoint.requests) == 1
        assert "410" in world.alert(alert)["paused"]["why"]
        assert world.deliveries(alert) == [("failed", "failed"), ("failed", "failed")]
        assert len(world.mails()) == 2

    @pytest.mark.parametrize("changes", [[{"url": "/new"}], [{"enabled": False}, {"enabled": True}]])
    def test_a_call_of_before_says_nothing_about_a_new_address_or_a_resumed_alert(self, world, changes):
        alert = world.make()
        world.end()
        team = {"team_id": world.team.id, "author": AUTHOR, "db": world.db, "settings": world.settings}

        def gone_meanwhile(endpoint, body, headers):
            for each in changes:
                url = {"url": world.endpoint.url + each["url"]} if "url" in each else {}
                team_alerts.change(alert["id"], {**each, **url}, **team)
            return Called(410, "", "It answered with HTTP 410")

        world.sweep(1)
        assert world.deliver(alert, 1, call=gone_meanwhile) == 1
        assert (world.alert(alert)["paused"], world.alert(alert)["failing"]) == (None, None)
        assert world.minute(alert, 10) == 1
        assert world.deliveries(alert) == [("failed", "sent")]

    def test_one_message_that_is_never_accepted_does_not_keep_the_others_back(self, world):
        alert = world.make()
        bad = world.end()
        for _ in range(3):
            world.end()

        def refuses_one(endpoint, body, headers):
            return Called(400, "", "It answered with HTTP 400") if bad in body.decode() else Called(200, "ok")

        world.sweep(1)
        assert world.deliver(alert, 1, call=refuses_one) == 4
        assert world.deliveries(alert) == [("failed", "unsent")] + 3 * [("failed", "sent")]
        assert world.deliver(alert, 1, call=refuses_one) == 0
        assert world.deliver(alert, 3, call=refuses_one) == 1

    def test_a_test_that_fails_does_not_end_the_delay_of_the_others(self, world):
        alert = world.make()
        for _ in range(2):
            world.end()
        world.endpoint.status = 503
        world.minute(alert, 1)
        team_alerts.test(alert["id"], team_id=world.team.id, author=AUTHOR, db=world.db, settings=world.settings)
        assert world.deliver(alert, 1.1) == 1
        assert world.endpoint.types == ["run.failed", "alert.test"]
        assert world.alert(alert)["failing"]["failures"] == 1

    def test_a_dead_endpoint_costs_one_call_however_much_waits(self, world):
        alert, other = world.make(), world.make(url=f"{world.endpoint.url}/other")
        for _ in range(5):
            world.end()
        dead = lambda endpoint, *_: Called(error="no answer") if endpoint.target == "/hook" else Called(200, "ok")  # noqa: E731
        world.sweep(1)
        assert world.deliver(alert, 1, call=dead) == 1
        assert world.deliver(other, 1, call=dead) == 5


class TestOtherMessages:
    def test_slack_gets_a_text_without_a_signature(self, world):
        alert = world.make(channel="slack", url=f"{world.endpoint.url}/services/T1/B2/x")
        world.owner.run_script(f"UPDATE projects SET name = 'A <b> & c' WHERE id = '{world.team.project_id}'")
        run_id = world.end()
        world.minute(alert, 1)
        [request] = world.endpoint.requests
        assert request.path == "/services/T1/B2/x"
        assert not any(name.lower().startswith("webhook-") for name in request.headers)
        assert json.loads(request.body)["text"].split("\n") == [
            "*RevenueCat Sync failed: A &lt;b&gt; &amp; c*",
            "The provider refused the key",
            f"<https://jobs.example/runs/{run_id}|Open the dashboard>",
        ]

    def test_a_test_comes_at_once_also_of_an_alert_that_is_paused(self, world):
        alert = world.make(minutes_between=60)
        team_alerts.change(
            alert["id"], {"enabled": False}, team_id=world.team.id, author=AUTHOR, db=world.db, settings=world.settings
        )
        sent = team_alerts.test(alert["id"], team_id=world.team.id, author=AUTHOR, db=world.db, settings=world.settings)
        world.endpoint.status = 500
        world.deliver(alert, 1)
        assert world.endpoint.types == ["alert.test"]
        after = team_alerts.get_delivery(sent["id"], db=world.db)
        assert (after["status"], after["answer_status"], after["answer"]) == ("failed", 500, "ok")
        assert world.alert(alert)["failing"] is None

    def test_a_replay_has_the_same_id(self, world):
        alert = world.make()
        world.end()
        world.minute(alert, 1)
        [delivery], _ = team_alerts.deliveries(alert["id"], before_id=None, limit=10, db=world.db)
        team_alerts.replay(
            delivery["id"], alert["id"], team_id=world.team.id, author=AUTHOR, db=world.db, settings=world.settings
        )
        world.deliver(alert, 2)
        assert world.endpoint.ids == [delivery["id"], delivery["id"]]

    def test_for_a_day_after_a_rotation_both_secrets_sign(self, world):
        alert = world.make()
        new = team_alerts.rotate(
            alert["id"], team_id=world.team.id, author=AUTHOR, db=world.db, settings=world.settings
        )["secret"]
        for minutes in (1, DAY + 10):
            world.end()
            world.minute(alert, minutes)
        during, after = world.endpoint.requests
        assert is_signed(during, alert["secret"])
        assert is_signed(during, new)
        assert is_signed(after, new)
        assert not is_signed(after, alert["secret"])

    def test_a_long_answer_is_cut(self, world):
        alert = world.make()
        world.endpoint.answer = b"x" * 5000
        world.end()
        world.minute(alert, 1)
        [delivery], _ = team_alerts.deliveries(alert["id"], before_id=None, limit=10, db=world.db)
        assert delivery["answer"] == "x" * 1024


def test_a_secret_that_cannot_be_decrypted_is_a_failure_that_ends(world):
    alert = world.make()
    world.owner.run_script("UPDATE job_alerts SET secret_encrypted = 'garbage'")
    world.end()
    world.minute(alert, 1)
    assert world.deliveries(alert) == [("failed", "unsent")]
    assert world.alert(alert)["failing"]["failures"] == 1
    for minutes in range(60, 25 * 60, 30):
        world.minute(alert, minutes)
    assert world.deliveries(alert) == [("failed", "failed")]
    assert "cannot be decrypted" in world.alert(alert)["paused"]["why"]
    assert world.endpoint.requests == []


def test_an_address_that_is_no_longer_allowed_is_not_called(world):
    alert = world.make()
    world.settings = world.settings.__class__(**{**vars(world.settings), "alert_sink_url": ""})
    world.end()
    world.minute(alert, 1)
    assert world.endpoint.requests == []
    assert world.alert(alert)["last"]["error"] == "Not called: url must begin with https://"
