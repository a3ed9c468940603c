"""Two triggers at the same moment, on connections of their own."""

import threading

import pytest

from nightshift.errors import Conflict, Unprocessable
from tests.world import make_team, run_row, trigger


@pytest.fixture
def team(owner):
    return make_team(owner, projects=2)


def while_uncommitted(owner, first, second):
    """Leave the transaction of ``first`` open until ``second``, in a thread, waits for it; returns what each gave."""
    connection, call = first
    connection.begin()
    row = call()
    raised = []

    def run():
        try:
            raised.append(second())
        except Exception as exc:
            raised.append(exc)

    waiting = threading.Thread(target=run)
    waiting.start()
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while owner.run_script(blocked) == [[0]]:
        assert waiting.is_alive(), "nobody waits for anybody"
    connection.commit()
    waiting.join(10)
    return row, raised[0]


def test_the_loser_of_a_race_is_told_the_winners_id(cloud, connect, team, owner):
    one, two = connect(), connect()
    row, raised = while_uncommitted(
        owner, (one, lambda: trigger(team, db=one, settings=cloud)), lambda: trigger(team, db=two, settings=cloud)
    )
    assert isinstance(raised, Conflict)
    assert raised.extra == {"existing_run_id": str(row["id"])}


def test_a_key_that_races_with_itself_makes_one_run(cloud, connect, team, owner):
    one, two = connect(), connect()
    row, again = while_uncommitted(
        owner,
        (one, lambda: trigger(team, db=one, settings=cloud, idempotency_key="k")),
        lambda: trigger(team, db=two, settings=cloud, idempotency_key="k"),
    )
    assert again["id"] == row["id"]


def test_a_key_that_races_with_another_request_is_refused(cloud, connect, team, owner):
    one, two = connect(), connect()
    other = str(owner.run_script(f"SELECT id FROM projects WHERE id <> '{team.project_id}'")[0][0])
    _, raised = while_uncommitted(
        owner,
        (one, lambda: trigger(team, db=one, settings=cloud, idempotency_key="k")),
        lambda: trigger(team, db=two, settings=cloud, idempotency_key="k", project_id=other),
    )
    assert isinstance(raised, Unprocessable)


def test_a_winner_that_ends_while_the_loser_waits_makes_room(cloud, connect, team, owner):
    ended = trigger(team, db=connect(), settings=cloud)
    one, two = connect(), connect()
    _, row = while_uncommitted(
        owner,
        (one, lambda: one.one("cancel_run", run_id=ended["id"], requested_by="me")),
        lambda: trigger(team, db=two, settings=cloud),
    )
    assert run_row(owner, row["id"])["status"] == "pending"
