"""Parameters that a run was made without: by its schedule, which gives none, or by a release that did not know them."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest

from nightshift import params
from nightshift.catalogue import CATALOGUE
from nightshift.errors import ConfigurationError
from nightshift.job import Progress
from nightshift.params import NoParams
from nightshift.schedules import GRACE, fire, register
from tests.world import received, run_row, sweep

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class PruningParams(NoParams):
    keep_days: int = 30
    tables: list[str] = ["events"]


class DemandingParams(PruningParams):
    reason: str


def scheduled(monkeypatch, model):
    """db_pruning with these parameters, every hour."""
    monkeypatch.setattr(params, model.__name__, model, raising=False)
    pruning = dataclasses.replace(CATALOGUE["db_pruning"], params=model.__name__)
    monkeypatch.setitem(CATALOGUE, "db_pruning", pruning)


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
            ConfigurationError, match=r"schedule of db_pruning.* reason of DemandingParams has no default"
        ):
            register({"db_pruning": "cron(0 * * * ? *)"}, now=START, db=owner)
        register({"db_pruning": ""}, now=START, db=owner)


class TestAnotherRelease:
    @pytest.mark.parametrize(
        ("stored", "seen"),
        [
            ({}, {"keep_days": 30, "tables": ["events"]}),
            ({"keep_days": 7}, {"keep_days": 7, "tables": ["events"]}),
            ({"keep_days": None, "retired": 1}, {"keep_days": None, "tables": ["events"], "retired": 1}),
        ],
    )
    def test_a_job_finds_what_its_run_was_made_without(self, run_of, owner, monkeypatch, stored, seen):
        told = []

        def telling(run, db):
            told.append(run.params)
            yield Progress(processed=1, total=1, message="", cursor=None)
            return {}

        monkeypatch.setattr(params, "PruningParams", PruningParams, raising=False)
        run = run_of(telling, params="PruningParams")
        owner.run_script(f"UPDATE job_runs SET params = '{json.dumps(stored)}' WHERE id = '{run.id}'")
        assert run.finish().result == {}
        assert told == [seen]
