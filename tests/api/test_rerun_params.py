"""Reruns with other parameters, and with stored ones that no longer fit their job type."""

import json

import pytest

from nightshift.testing.rows import make_team
from tests.support.api_world import Api
from tests.support.world import store_keys, trigger

NO_LONGER = "The run's parameters no longer fit RevenueCat Sync: "


@pytest.fixture
def team(cloud, owner):
    team = make_team(owner)
    store_keys(owner)
    return team


@pytest.fixture
def rerun(team, cloud, db, owner):
    """``rerun(body, **stored)``: run a cancelled run with these parameters again; return status and answer."""
    api = Api(f"Bearer {team.agent_key}")

    def rerun(body, *, key=None, **stored):
        params = {"project_id": team.project_id, **stored}
        run_id = trigger(team, db=db, settings=cloud, params=params)["id"]
        api("POST", f"/v1/jobs/{run_id}/cancel")
        headers = {"Idempotency-Key": key} if key else {}
        return api("POST", f"/v1/jobs/{run_id}/rerun", body, headers=headers)

    return rerun


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"include_sandbox": True, "mode": "full"}),
        ({"params": {"mode": "incremental"}}, {"include_sandbox": False, "mode": "incremental"}),
        ({"params": {"include_sandbox": "true"}, "from": "start"}, {"include_sandbox": True, "mode": "incremental"}),
        ({"params": {}}, {"include_sandbox": False, "mode": "incremental"}),
        ({"params": None, "from": "cursor"}, {"include_sandbox": True, "mode": "full"}),
    ],
)
def test_given_parameters_replace_all_of_the_old_ones(rerun, team, body, expected):
    status, answer = rerun(body, include_sandbox=True, mode="full")
    assert (status, answer["job_run"]["params"]) == (201, {"project_id": team.project_id, **expected})


@pytest.mark.parametrize(
    ("body", "stored", "sentence"),
    [
        ({}, {"mode": "all"}, f'{NO_LONGER}params.mode must be one of incremental, full, got "all"'),
        ({}, {"pages": 3}, f"{NO_LONGER}params.pages is not a known field, got 3. Known: include_sandbox, mode"),
        ({"params": {"mode": "all"}}, {}, 'params.mode must be one of incremental, full, got "all"'),
        (
            {"params": {"mode": "full"}, "from": "cursor"},
            {},
            "params can only be given from the start: the cursor belongs to the old run's parameters",
        ),
        ({"params": [1]}, {}, "params must be a JSON object, got [1]"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_in_their_words(rerun, owner, body, stored, sentence):
    assert rerun(body, **stored) == (400, {"error": sentence})
    assert owner.run_script("SELECT count(*) FROM job_runs WHERE rerun_of IS NOT NULL") == [[0]]


def test_parameters_of_another_project_are_refused(rerun, team):
    other = "0b6a5a0e-0000-4000-8000-000000000000"
    status, answer = rerun({"params": {"project_id": other}})
    sentence = f"params.project_id must be the run's own project {team.project_id}, got {json.dumps(other)}"
    assert (status, answer["error"]) == (400, sentence)


def test_other_parameters_mend_a_run_whose_own_no_longer_fit(rerun):
    assert rerun({"params": {"mode": "full"}}, mode="all", pages=3)[0] == 201
