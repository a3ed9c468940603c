"""The limit of a team's log lines: which runs the sweep counts, when it deletes, and which lines are the oldest."""

import json

import pytest

from tests.guarded.world_at_noon import ENDED, LEASED, NOON, at, insert, rows, run

LATE_S = 120
BEFORE = -10 * LATE_S


def logged(owner, team, *, sizes=(100,), written=0, **columns):
    """Insert a run that ended long enough ago, with a row of lines of each size, a second apart."""
    usual = {"completed_at": at(-LATE_S), "logged_lines": len(sizes)}
    homes = {"team_id": team and team.id, "project_id": team and team.project_id}
    run_id = run(owner, ENDED, **(homes | usual | columns))
    for number, size in enumerate(sizes, start=1):
        insert(
            owner, "job_run_logs", run_id=run_id, last_line=number, team_id=team and team.id, slice=0, bytes=size,
            written_at=at(written + number), lines=json.dumps([]),
        )  # fmt: skip
    return run_id


@pytest.fixture(autouse=True)
def counted_until(owner):
    owner.run_script(f"UPDATE job_sweep SET logs_until = '{at(BEFORE)}'")


def find(noon, at_most=100):
    return [row["key"] for row in noon.query("logged_runs", now=NOON, late_s=LATE_S, at_most=at_most)]


def until(owner):
    [[until]] = owner.run_script("SELECT to_jsonb(logs_until) FROM job_sweep")
    return until


class TestTheRunsThatAreCounted:
    def test_ended_with_lines_of_a_team_since_the_last_count_the_oldest_first(self, owner, noon, team):
        found = [logged(owner, team, completed_at=at(seconds)) for seconds in (-LATE_S, -LATE_S - 5, BEFORE + 0.001)]
        logged(owner, team, completed_at=at(-LATE_S + 0.001))
        logged(owner, team, completed_at=at(BEFORE))
        logged(owner, team, logged_lines=None)
        logged(owner, None)
        run(owner, LEASED, logged_lines=3)
        assert find(noon) == found[::-1]
        assert find(noon, at_most=1) == found[2:]

    def test_those_that_were_set_aside_are_found_until_they_are_counted(self, owner, noon, team):
        run_id = logged(owner, team, completed_at=at(BEFORE - 5))
        assert find(noon) == []
        for healer, key in (("logs", run_id), ("logs", ""), ("expired", logged(owner, team, completed_at=at(BEFORE)))):
            insert(owner, "job_set_aside", healer=healer, key=key, error="e", attempts=1, retry_at=at(0))
        assert find(noon) == [run_id]

    @pytest.mark.parametrize(("completed", "is_found"), [(BEFORE, False), (BEFORE + 1, True)])
    def test_the_search_for_work_sees_that_a_run_ended_since(self, owner, noon, team, completed, is_found):
        question = {"schedules_until": NOON, "now": NOON, "retention_s": 1e9}
        assert noon.query("find_work", **question)[0]["logs"] is False
        run(owner, ENDED, completed_at=at(completed))
        assert noon.query("find_work", **question)[0]["logs"] is is_found
        insert(owner, "job_set_aside", healer="logs", key="x", error="e", attempts=1, retry_at=at(0))
        assert noon.query("find_work", **question)[0]["logs"] is True

    @pytest.mark.parametrize(
        ("now_s", "moved_to"), [(0, -LATE_S), (60, -LATE_S), (-60, -LATE_S - 60), (BEFORE, BEFORE)]
    )
    def test_a_sweep_that_counted_all_moves_on_but_never_back(self, owner, noon, now_s, moved_to):
        noon.query("move_logs_until", now=at(now_s), late_s=LATE_S)
        assert until(owner) == at(moved_to)


class TestTheSum:
    def count(self, noon, *keys, most_bytes=1_000):
        found = noon.query("count_log_lines", keys=list(keys), most_bytes=most_bytes)
        return {row["team_id"]: row["is_above"] for row in found}

    def test_each_team_has_its_own_and_it_grows(self, owner, noon, team, other):
        first = [logged(owner, team, sizes=(100, 200)), logged(owner, other, sizes=(5,))]
        logged(owner, other, sizes=(7,))
        assert self.count(noon, *first) == {team.id: False, other.id: False}
        second = logged(owner, team, sizes=(700,), completed_at=at(-LATE_S - 7))
        assert self.count(noon, second, logged(owner, None)) == {team.id: False}
        assert self.count(noon, logged(owner, team, sizes=(1,))) == {team.id: True}
        sums = {team_id: row["bytes"] for team_id, row in rows(owner, "job_log_shares", "team_id").items()}
        assert sums == {team.id: 1_001, other.id: 5}
        # The end of the newest run that was counted.
        assert until(owner) == at(-LATE_S)

    def test_an_older_run_does_not_move_the_count_back(self, owner, noon, team):
        self.count(noon, logged(owner, team, completed_at=at(BEFORE - 5)))
        assert until(owner) == at(BEFORE)


class TestTheLimit:
    def shorten(self, owner, noon, team, most_bytes):
        insert(owner, "job_log_shares", team_id=team.id, bytes=10**9)
        [row] = noon.query("shorten_team_logs", team_id=team.id, most_bytes=most_bytes)
        left = owner.run_script("SELECT run_id::text, last_line FROM job_run_logs ORDER BY written_at, last_line")
        return row["deleted"], left, rows(owner, "job_log_shares", "team_id")[team.id]["bytes"]

    def test_the_oldest_lines_of_the_team_go_until_a_tenth_is_free(self, owner, noon, team, other):
        foreign = logged(owner, other, sizes=(900,), written=-500)
        old, new = logged(owner, team, sizes=(300, 300), written=-100), logged(owner, team, sizes=(300, 200, 100))
        insert(owner, "job_log_shares", team_id=other.id, bytes=5)
        assert self.shorten(owner, noon, team, 1_000) == (
            1, [[foreign, 1], [old, 2], [new, 1], [new, 2], [new, 3]], 900,
        )  # fmt: skip
        assert rows(owner, "job_log_shares", "team_id")[other.id]["bytes"] == 5

    def test_a_sum_that_was_too_large_is_corrected_and_nothing_goes(self, owner, noon, team):
        kept = logged(owner, team, sizes=(500, 500))
        assert self.shorten(owner, noon, team, 1_000) == (0, [[kept, 1], [kept, 2]], 1_000)

    def test_without_lines_the_sum_is_zero(self, owner, noon, team):
        assert self.shorten(owner, noon, team, 1_000) == (0, [], 0)


def test_the_sums_of_teams_that_are_gone_go_with_old_alerts(owner, noon, team):
    for team_id in (team.id, "00000000-0000-0000-0000-000000000007"):
        insert(owner, "job_log_shares", team_id=team_id, bytes=1)
    noon.query("prune_alerts", keys=[])
    assert rows(owner, "job_log_shares", "team_id").keys() == {team.id}


def test_the_slices_whose_workers_were_lost_the_newest_first(owner, noon, team):
    run_id, other = (run(owner, ENDED, team_id=team.id, project_id=team.project_id, slice=5) for _ in range(2))
    for number, outcome in enumerate(["lost", "continued", "lost", "waiting", "lost"]):
        insert(
            owner, "job_slices", run_id=run_id, slice=number, request_id="r", started_at=at(-9), outcome=outcome,
        )  # fmt: skip
    insert(owner, "job_slices", run_id=other, slice=9, request_id="r", started_at=at(-9), outcome="lost")
    asked = noon.query("lost_slices_of_run", run_id=run_id, at_most=2)
    assert [row["slice"] for row in asked] == [4, 2]
