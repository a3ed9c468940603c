"""Triggers that meet each other, a pause or the pruning: one run at a time, and each caller gets its answer."""

import pytest

from nightshift.base.errors import Conflict, Refused, Unprocessable
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import pauses
from nightshift.schedules.slots import fire, register
from nightshift.testing.rows import make_team, run_row, sweep
from tests.healing.test_pairs_of_sweeps import HOUR, START, fires, slots
from tests.support.two_sessions import ORDERS, Act, Died
from tests.support.world import received, state_of, trigger

SYNC = JOB_TYPES["revenuecat_sync"]


@pytest.fixture
def team(owner):
    return make_team(owner, projects=2)


@pytest.fixture
def triggers(cloud, team):
    """``triggers(key=…)``: an act that creates a run and returns the run's id."""

    def triggers(*, at="insert_run", **wish):
        return Act(lambda db: str(trigger(team, db=db, settings=cloud, **wish)["id"]), at)

    return triggers


def made(owner):
    return [id_ for (id_,) in owner.run_script("SELECT CAST(id AS text) FROM job_runs ORDER BY created_at")]


def winner(met, owner):
    """Return the only run: the first one's, or the other's if the first has died."""
    assert met.waited
    [run_id] = made(owner)
    assert run_id == (met.other if isinstance(met.one, Died) else met.one)
    return run_id


@pytest.mark.parametrize("dies", [False, True])
class TestTwoTriggers:
    def test_of_one_project_and_type_make_one_run(self, meet, triggers, owner, cloud, dies):
        met = meet(triggers(), triggers(), dies=dies)
        run_id = winner(met, owner)
        if not dies:
            assert isinstance(met.other, Conflict)
            assert met.other.extra == {"existing_run_id": run_id}
        assert [message["run_id"] for message in received(cloud)] == [run_id]

    def test_with_one_key_are_one_request(self, meet, triggers, owner, cloud, dies):
        met = meet(triggers(idempotency_key="k"), triggers(idempotency_key="k"), dies=dies)
        assert met.other == winner(met, owner)
        assert [message["run_id"] for message in received(cloud)] == [met.other]

    def test_with_one_key_and_two_projects_are_no_repetition(self, meet, triggers, team, owner, dies):
        [[second]] = owner.run_script(f"SELECT CAST(id AS text) FROM projects WHERE id <> '{team.project_id}'")
        of_another = {"project_id": second, "params": {"project_id": second}}
        met = meet(triggers(idempotency_key="k"), triggers(idempotency_key="k", **of_another), dies=dies)
        assert winner(met, owner)
        assert dies or isinstance(met.other, Unprocessable)

    @pytest.mark.parametrize("at", ["insert_run", "forget_idempotency_key"])
    def test_with_a_key_of_yesterday_make_one_run(self, meet, triggers, db, owner, cloud, team, at, dies):
        """Both find the old run under the key; either may release the key for both."""
        old = str(trigger(team, db=db, settings=cloud, idempotency_key="k")["id"])
        owner.run_script(
            "UPDATE job_runs SET created_at = created_at - interval '25 hours', status = 'cancelled',"
            " completed_at = clock_timestamp(), resend_at = NULL"
        )
        received(cloud)
        forgets = triggers(idempotency_key="k", at="forget_idempotency_key")
        met = meet(forgets, triggers(idempotency_key="k", at=at), dies=dies)
        assert met.waited
        [_, run_id] = made(owner)
        assert met.other == run_id
        assert isinstance(met.one, Died) if dies else met.one == run_id
        assert [message["run_id"] for message in received(cloud)] == [run_id]
        assert run_row(owner, old)["idempotency_key"] is None


class TestAPause:
    """No session waits for another. A run that started before the pause was committed is live and continues."""

    @pytest.fixture
    def pausing(self):
        def pausing(name):
            of = {"what": "type", "by": "ada", "why": "maintenance"}
            return Act(lambda db: pauses.pause(JOB_TYPES[name], db=db, **of)["by"], "insert_pause")

        return pausing

    @pytest.mark.parametrize(("first", "dies"), ORDERS)
    def test_and_a_trigger(self, meet, triggers, pausing, team, db, owner, cloud, first, dies):
        met = meet(triggers(), pausing(SYNC.name), first=first, dies=dies)
        assert not met.waited
        assert made(owner) == [] if isinstance(met.one, Died) else [met.one]
        owner.run_script("UPDATE job_runs SET status = 'cancelled', completed_at = clock_timestamp(), resend_at = NULL")
        if isinstance(met.other, Died):
            assert trigger(team, db=db, settings=cloud)
        else:
            with pytest.raises(Refused, match=r"is paused \(since"):
                trigger(team, db=db, settings=cloud)

    @pytest.mark.parametrize(("first", "dies"), ORDERS)
    def test_and_a_slot(self, meet, pausing, owner, cloud, first, dies):
        register({"db_pruning": "cron(0 * * * ? *)"}, now=START, db=owner)
        met = meet(Act(fires(cloud), "insert_scheduled_run"), pausing("db_pruning"), first=first, dies=dies)
        assert not met.waited
        assert slots(owner) == ([] if isinstance(met.one, Died) else [["started", True]])
        owner.run_script("UPDATE job_runs SET status = 'cancelled', completed_at = clock_timestamp(), resend_at = NULL")
        later = START + 2 * HOUR
        outcome = fire("db_pruning", time=later, now=later, db=owner, settings=cloud)
        assert outcome == ("started" if isinstance(met.other, Died) else "skipped")


@pytest.mark.parametrize(("first", "dies"), ORDERS)
def test_a_run_is_run_again_while_it_is_thrown_away(meet, triggers, db, owner, cloud, first, dies):
    """The new run copies the values that it needs from the old one, so neither session waits."""
    triggers().do(db)
    owner.run_script(
        """UPDATE job_runs SET status = 'failed', error = 'e', resend_at = NULL, cursor = '{"at": 7}',"""
        " cursor_version = 1, completed_at = clock_timestamp() - interval '91 days'"
    )
    [old] = made(owner)
    again = triggers(rerun_of=state_of(db, old), from_cursor=True)
    prune = Act(lambda db: sweep(db=db, settings=cloud)["pruned"], "prune_runs")
    met = meet(again, prune, first=first, dies=dies)
    assert not met.waited
    assert isinstance(met.other, Died) or met.other == 1
    if not isinstance(met.one, Died):
        new = run_row(owner, met.one)
        assert (new["rerun_of"], new["cursor"], new["status"]) == (old, {"at": 7}, "pending")
    assert len(made(owner)) == isinstance(met.other, Died) + (not isinstance(met.one, Died))
