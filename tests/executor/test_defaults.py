"""Parameters that a run was created without, by its schedule or by a release that did not know them."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest

from nightshift.base.errors import ConfigurationError
from nightshift.jobs import Progress
from nightshift.jobs.params import NoParams
from nightshift.jobs.registry import JOB_TYPES
from nightshift.schedules.slots import GRACE, fire, register
from nightshift.testing.rows import make_team, run_row, sweep
from nightshift_jobs.revenuecat_sync import params
from tests.support.api_world import Api
from tests.support.world import received, store_keys

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class PruningParams(NoParams):
    keep_days: int = 30
    tables: list[str] = ["events"]


class DemandingParams(PruningParams):
    reason: str


def scheduled(monkeypatch, model):
    """Schedule db_pruning with these parameters, every hour."""
    pruning = dataclasses.replace(JOB_TYPES["db_pruning"], params=f"{__name__}:{model.__name__}")
    monkeypatch.setitem(JOB_TYPES, "db_pruning", pruning)


class TestASchedule:
    def test_its_runs_have_the_defaults(self, cloud, db, owner, monkeypatch):
        scheduled(monkeypatch, PruningParams)
        register({"db_pruning": "cron(0 * * * ? *)"}, now=START, db=owner)
        assert fire("db_pruning", time=START + HOUR, now=START + HOUR, db=db, settings=cloud) == "started"
        [message] = received(cloud)
        assert run_row(owner, message["run_id"])["params"] == {"keep_days": 30, "tables": ["events"]}

    def test_so_has_the_run_that_catches_up(self, cloud, db, owner, monkeypatch):
        scheduled(monkeypatch, PruningParams)
        register({"db_pruning": "cron(0 * * * ? *)"}, now=START, db=owner)
        assert sweep(db=db, settings=cloud, now=START + HOUR + GRACE)["caught_up"] == 1
        [message] = received(cloud)
        assert run_row(owner, message["run_id"])["params"] == {"keep_days": 30, "tables": ["events"]}

    def test_a_parameter_without_a_default_is_refused_by_the_deployment(self, owner, monkeypatch):
        scheduled(monkeypatch, DemandingParams)
        with pytest.raises(
            ConfigurationError, match=r"schedule of db_pruning.* reason of .*:DemandingParams has no default"
        ):
            register({"db_pruning": "cron(0 * * * ? *)"}, now=START, db=owner)
        register({"db_pruning": ""}, now=START, db=owner)


def team_with_key(owner):
    team = make_team(owner)
    store_keys(owner)
    return team


class TestAnotherRelease:
    @pytest.mark.parametrize(
        ("stored", "seen"),
        [
            ({}, {"keep_days": 30, "tables": ["events"]}),
            ({"keep_days": 7}, {"keep_days": 7, "tables": ["events"]}),
            ({"keep_days": 7, "retired": 1}, {"keep_days": 7, "tables": ["events"], "retired": 1}),
        ],
    )
    def test_a_job_finds_what_its_run_was_made_without(self, run_of, owner, monkeypatch, stored, seen):
        told = []

        def telling(run, db):
            told.append(run.params)
            yield Progress(processed=1, total=1, message="", cursor=None)
            return {}

        run = run_of(telling, params=f"{__name__}:PruningParams")
        owner.run_script(f"UPDATE job_runs SET params = '{json.dumps(stored)}' WHERE id = '{run.id}'")
        assert run.finish().result == {}
        assert told == [seen]

    @pytest.mark.parametrize(
        ("model", "stored", "sentence"),
        [
            ("PruningParams", {"keep_days": None}, "params.keep_days must be a whole number, got null"),
            ("DemandingParams", {"keep_days": 7}, "params.reason is required"),
        ],
    )
    def test_a_live_run_whose_parameters_no_longer_fit_fails_with_a_sentence(
        self, run_of, owner, monkeypatch, model, stored, sentence
    ):
        """The release comes between two slices. The run is not retried: the next slice would say the same."""

        def counting(run, db):
            for number in range((run.cursor or {"n": 0})["n"] + 1, 4):
                yield Progress(processed=number, total=3, message="", cursor={"n": number})
            return {"reason": run.params["reason"]}

        run = run_of(counting, params=f"{__name__}:PruningParams")
        run.work(remaining_s=1)
        monkeypatch.setitem(
            JOB_TYPES, "counting", dataclasses.replace(JOB_TYPES["counting"], params=f"{__name__}:{model}")
        )
        owner.run_script(f"UPDATE job_runs SET params = '{json.dumps(stored)}'")
        ended = run.work().row
        assert ended["status"] == "failed"
        assert ended["error"] == (
            f"The run's parameters no longer fit Counting: {sentence}. Run it again with other parameters"
        )
        assert [outcome for _, outcome, _ in run.slices] == ["continued", "failed"]

    @pytest.mark.parametrize("given", [{}, {"include_sandbox": True}, {"include_sandbox": "true"}])
    def test_a_repeat_is_one_although_the_parameters_have_grown(self, cloud, owner, monkeypatch, given):
        team = team_with_key(owner)
        trigger = trigger_of(team)
        status, first = trigger(given)
        assert status == 201
        grown(monkeypatch)
        status, again = trigger(given)
        assert (status, again["job_run"]["id"]) == (201, first["job_run"]["id"])

    def test_a_repeated_rerun_is_one_too(self, cloud, owner, monkeypatch):
        team = team_with_key(owner)
        api = Api(f"Bearer {team.agent_key}")
        old = trigger_of(team)({})[1]["job_run"]["id"]
        api("POST", f"/v1/jobs/{old}/cancel")
        rerun = ("POST", f"/v1/jobs/{old}/rerun", {"from": "start"})
        _, first = api(*rerun, headers={"Idempotency-Key": "tuesday"})
        grown(monkeypatch)
        assert api(*rerun, headers={"Idempotency-Key": "tuesday"}) == (201, first)

    def test_other_parameters_are_another_request(self, cloud, owner, monkeypatch):
        trigger = trigger_of(team_with_key(owner))
        trigger({})
        grown(monkeypatch)
        assert trigger({"limit": 5})[0] == 422
        assert trigger({"include_sandbox": True})[0] == 422


def trigger_of(team):
    api = Api(f"Bearer {team.agent_key}")
    wish = {"job_type": "revenuecat_sync", "project_id": team.project_id}

    def trigger(given):
        path = f"/v1/teams/{team.id}/jobs/trigger"
        return api("POST", path, wish | {"params": given}, headers={"Idempotency-Key": "monday"})

    return trigger


def grown(monkeypatch):
    """Make the next release's parameters available: one more than today."""

    class GrownParams(params.RevenueCatSyncParams):
        limit: int = 100

    monkeypatch.setattr(params, "RevenueCatSyncParams", GrownParams)
