"""The sweep looks at the runs that have ended, and writes what alerts have to tell: once, and of their team alone."""

import pytest

from nightshift.healing.healers import Healer
from nightshift.testing.rows import make_team
from tests.support.world import store_keys


def told(world, alert):
    return [kind for kind, _ in world.deliveries(alert)]


@pytest.mark.parametrize(
    ("event", "kinds"),
    [
        ("failed", ["failed", "failed", "failed"]),
        ("first_failure", ["failed", "failed"]),
        ("recovered", ["recovered"]),
        ("ended", ["completed", "failed", "cancelled", "failed", "completed", "failed"]),
    ],
)
def test_each_event(world, event, kinds):
    alert = world.make(events=(event,))
    for status in ("completed", "failed", "cancelled", "failed", "completed", "failed"):
        world.end(status)
    world.sweep()
    assert told(world, alert) == kinds


def test_a_first_run_that_fails_is_a_first_failure_and_one_that_completes_no_recovery(world):
    failure, recovery = world.make(events=("first_failure",)), world.make(events=("recovered",))
    world.end(
        "failed",
        project_id=(
            other := str(
                world.owner.run_script(
                    f"SELECT id FROM projects WHERE team_id = '{world.team.id}' AND id <> '{world.team.project_id}'"
                )[0][0]
            )
        ),
        params={"project_id": other},
    )
    world.end("completed")
    world.sweep()
    assert (told(world, failure), told(world, recovery)) == (["failed"], [])


def test_of_several_events_one_message_tells_of_a_run(world):
    alert = world.make(events=("failed", "first_failure", "recovered", "ended"))
    world.end("failed")
    world.end("completed")
    world.sweep()
    assert told(world, alert) == ["failed", "recovered"]


def test_job_types_and_projects_are_chosen(world, owner):
    [[other]] = owner.run_script(
        f"SELECT id::text FROM projects WHERE team_id = '{world.team.id}' AND id <> '{world.team.project_id}'"
    )
    of_project = world.make(project_ids=(other,))
    of_both = world.make(project_ids=(other, world.team.project_id))
    of_type = world.make(job_types=("revenuecat_backfill",))
    world.end("failed")
    world.sweep()
    assert (told(world, of_project), told(world, of_both), told(world, of_type)) == ([], ["failed"], [])


def test_a_run_is_told_of_once_however_often_it_is_looked_at(world, connect):
    alert = world.make()
    world.end()
    assert world.sweep(1)["alerts"] == 1
    world.owner.run_script("UPDATE job_sweep SET alerts_until = '-infinity'")
    assert world.sweep(1, db=connect())["alerts"] == 0
    assert told(world, alert) == ["failed"]


def test_a_run_without_an_alert_costs_no_row(world):
    other = make_team(world.owner, slug="foxes")
    store_keys(world.owner)
    world.make()
    world.end("completed")
    world.end("failed", of=other)
    assert world.sweep()["alerts"] == 0
    assert world.owner.run_script("SELECT count(*) FROM job_alert_deliveries") == [[0]]


def test_nothing_of_before_the_alert_or_of_its_pause_is_told(world):
    world.end()
    alert = world.make()
    world.sweep(1)
    world.owner.run_script("UPDATE job_alerts SET paused_at = now(), paused_by = 'a', paused_why = 'b'")
    world.end()
    world.sweep(2)
    world.owner.run_script(
        "UPDATE job_alerts SET paused_at = NULL, paused_by = NULL, paused_why = NULL, active_since = clock_timestamp()"
    )
    world.sweep(3)
    assert told(world, alert) == []
    world.end()
    world.sweep(4)
    assert told(world, alert) == ["failed"]


def test_an_ending_that_commits_late_is_seen(world):
    alert = world.make()
    world.end()
    world.sweep(1)
    late = world.end()
    world.owner.run_script(f"UPDATE job_runs SET completed_at = completed_at + interval '1 minute' WHERE id = '{late}'")
    world.sweep(2)
    assert told(world, alert) == ["failed", "failed"]


def test_the_look_moves_on(world):
    world.make()
    world.end("completed")
    world.owner.run_script("UPDATE job_sweep SET alerts_until = '-infinity'")
    world.sweep(0)
    [[until]] = world.owner.run_script("SELECT alerts_until FROM job_sweep")
    assert until == world.at(-2)


def test_runs_of_which_no_alert_tells_keep_no_others_back(world, monkeypatch):
    # A sweep that finds as many runs as it may look at.
    monkeypatch.setitem(Healer.__init__.__kwdefaults__, "at_most", 2)
    alert = world.make(events=("recovered",))
    for status in ("completed", "completed", "completed", "failed", "completed"):
        world.end(status)
    world.owner.run_script(
        "UPDATE job_alerts SET active_since = '-infinity'; UPDATE job_sweep SET alerts_until = '-infinity';"
        "UPDATE job_runs SET completed_at = completed_at - interval '1 hour' + place * interval '5 minutes'"
        " FROM (SELECT id AS of_run, row_number() OVER (ORDER BY created_at) AS place FROM job_runs) AS placed"
        " WHERE id = of_run"
    )
    for _ in range(4):
        world.sweep(1)
    assert told(world, alert) == ["recovered"]


def test_a_minute_without_alerts_costs_no_statement_more(world):
    world.end()
    [found] = world.db.query("find_work", now=world.at(1), schedules_until=world.start, retention_s=90 * 86_400)
    kinds = [name for name in found if name.startswith("alerts_")]
    assert len(kinds) == 6
    assert [found[kind] for kind in kinds] == [False] * len(kinds)


class TestPausesBetweenMessages:
    def test_the_first_comes_at_once_and_the_others_as_one_digest(self, world):
        alert = world.make(minutes_between=30)
        world.end()
        world.minute(alert, 1)
        assert world.endpoint.types == ["run.failed"]
        for _ in range(3):
            world.end()
            world.minute(alert, 10)
        assert world.endpoint.types == ["run.failed"]
        world.minute(alert, 31)
        assert world.endpoint.types == ["run.failed", "alert.digest"]
        data = world.endpoint.bodies[-1]["data"]
        assert (data["count"], data["failed"], len(data["events"])) == (3, 3, 3)
        assert data["events"][0]["error"] == "The provider refused the key"
        assert world.deliveries(alert) == [("failed", "sent")] + 3 * [("failed", "digested")] + [("digest", "sent")]
        world.minute(alert, 62)
        assert len(world.endpoint.requests) == 2

    def test_one_that_waited_alone_comes_as_it_is(self, world):
        alert = world.make(minutes_between=30)
        world.end()
        world.minute(alert, 1)
        world.end()
        world.minute(alert, 2)
        world.minute(alert, 31)
        assert world.endpoint.types == ["run.failed", "run.failed"]


class TestOverdue:
    @pytest.fixture
    def scheduled(self, world):
        def make(**columns):
            values = {"created_at": world.at(-3000), "cron": "0 3 * * *", "next_slot": world.at(600)} | columns
            next_slot = "NULL" if values["next_slot"] is None else f"'{values['next_slot']}'"
            world.owner.run_script(
                "INSERT INTO job_team_schedules"
                " (project_id, job_type, name, cron, zone, params, created_by, next_slot, created_at)"
                f" VALUES ('{world.team.project_id}', 'revenuecat_sync', 'nightly', '{values['cron']}', 'UTC', '{{}}',"
                f" 'manual:user:x', {next_slot}, '{values['created_at']}')"
            )

        return make

    def alert(self, world, **wanted):
        alert = world.make(events=("overdue",), overdue_hours=24, **wanted)
        world.owner.run_script("UPDATE job_alerts SET active_since = now() - interval '3 days'")
        return alert

    def test_a_lapse_is_told_once_and_the_next_one_again(self, world, scheduled):
        scheduled()
        alert = self.alert(world)
        assert sum(world.sweep(minutes)["alerts"] for minutes in (0, 6)) == 1
        assert world.deliveries(alert) == [("overdue", "unsent")]
        assert world.deliver(alert, 6) == 1
        data = world.endpoint.bodies[-1]["data"]
        assert (world.endpoint.types, data["hours"], data["last_success_at"]) == (["job.overdue"], 24, None)
        world.end("completed")
        world.sweep(12)
        world.sweep(24 * 60 - 10)
        assert len(world.deliveries(alert)) == 1
        world.sweep(24 * 60 + 10)
        assert len(world.deliveries(alert)) == 2

    def test_only_of_repeating_schedules_that_are_not_paused(self, world, scheduled):
        scheduled(next_slot=None)
        alert = self.alert(world)
        world.sweep(0)
        assert world.deliveries(alert) == []

    def test_a_success_in_time_is_no_lapse(self, world, scheduled):
        scheduled()
        world.end("completed")
        alert = self.alert(world)
        world.sweep(0)
        assert world.deliveries(alert) == []

    def test_another_project_and_type_do_not_matter(self, world, scheduled):
        scheduled()
        alert = self.alert(world, job_types=("revenuecat_backfill",))
        world.sweep(0)
        assert world.deliveries(alert) == []


class TestMail:
    def test_admins_get_it_and_only_confirmed_addresses_do(self, world):
        world.make(
            channel="mail", admins=True, addresses=("Ops@else.example", "member@owls.example", "admin@owls.example")
        )
        [(asked, subject)] = world.mails()
        assert (asked, subject) == ("ops@else.example", "Confirm that you want alerts of a team")
        world.end()
        world.sweep(1)
        assert [recipient for recipient, _ in world.mails()[1:]] == [
            "admin@owls.example",
            "member@owls.example",
            "owner@owls.example",
        ]
        assert world.mails()[1][1] == "RevenueCat Sync failed: Project 0"
        world.owner.run_script("UPDATE job_alert_addresses SET confirmed_at = now(), token_hash = NULL")
        world.owner.run_script("UPDATE job_outbox SET status = 'sent', send_at = NULL, ended_at = now()")
        world.end()
        world.sweep(2)
        assert [recipient for recipient, _ in world.mails()].count("ops@else.example") == 2

    def test_without_a_reader_the_delivery_says_so(self, world):
        alert = world.make(channel="mail", addresses=("ops@else.example",))
        world.end()
        world.sweep(1)
        assert world.deliveries(alert) == [("failed", "failed")]
        assert "none of the alert's is confirmed" in world.alert(alert)["last"]["error"]


class TestEndOfAnAlert:
    def test_what_a_paused_or_deleted_alert_had_to_send_ends(self, world):
        paused, deleted = world.make(minutes_between=60), world.make()
        world.end()
        world.minute(paused, 1)
        world.end()
        world.sweep(2)
        world.owner.run_script(
            f"UPDATE job_alerts SET paused_at = now(), paused_by = 'a', paused_why = 'b' WHERE id = '{paused['id']}';"
            f"UPDATE job_alerts SET deleted_at = now(), secret_encrypted = NULL WHERE id = '{deleted['id']}'"
        )
        world.sweep(9)
        assert world.deliveries(paused) == [("failed", "sent"), ("failed", "failed")]
        for minutes in (10, 11):
            world.sweep(minutes)
        assert world.deliveries(deleted) == []
        assert world.owner.run_script("SELECT id::text FROM job_alerts") == [[paused["id"]]]

    def test_the_alerts_of_a_deleted_team_go(self, world):
        world.make(channel="mail", addresses=("ops@else.example",))
        world.owner.run_script(
            "UPDATE job_alerts SET team_id = gen_random_uuid();"
            "UPDATE job_alert_addresses SET team_id = (SELECT team_id FROM job_alerts)"
        )
        world.sweep(1)
        assert world.owner.run_script("SELECT FROM job_alerts UNION ALL SELECT FROM job_alert_addresses") == []

    def test_old_deliveries_go(self, world):
        alert = world.make()
        world.end()
        world.minute(alert, 1)
        world.owner.run_script("UPDATE job_alert_deliveries SET created_at = now() - interval '91 days'")
        assert world.sweep(2)["pruned"] == 1
