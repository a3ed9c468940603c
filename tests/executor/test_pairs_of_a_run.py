"""A worker and another session meet at one run: the second session finds the run as the first has left it.

Each pair meets in both orders, and with either session dying before it commits. Then the run is worked to its end.
"""

import pytest

from nightshift.base.errors import Refused
from nightshift.jobs import Progress, Wait
from nightshift.runs import requests
from nightshift.testing.rows import age, make_team, sweep, work
from tests.support.executor_world import steps_of
from tests.support.two_sessions import ORDERS, Act, Died
from tests.support.world import claim, state_of


def counting(run, db):
    """Take step 1, wait, take step 2, and end."""
    done = (run.cursor or {"done": 0})["done"]
    while done < 2:
        done += 1
        db.write("record_step", run_id=run.id, step=done)
        yield Progress(processed=done, total=2, message="", cursor={"done": done})
        if done == 1:
            yield Wait(seconds=1, why="a while", cursor={"done": 1, "waited": True})
    return {}


def finishing(run, db):
    if run.cursor is None:
        db.write("record_step", run_id=run.id, step=1)
        yield Progress(processed=1, total=1, message="", cursor={"done": 1})
    db.write("record_step", run_id=run.id, step=2)
    return {}


def failing(run, db):
    if run.cursor is None:
        db.write("record_step", run_id=run.id, step=1)
        yield Progress(processed=1, total=2, message="", cursor={"done": 1})
    raise ValueError("It broke")


# The place where a worker of slice 0 meets the other session: its job, its statement, and the run's end without the
# other session.
WORKERS = {
    "claim": (counting, "claim_slice", "completed", [1, 2]),
    "yield": (counting, "save_progress", "completed", [1, 2]),
    "slice end": (counting, "end_slice", "completed", [1, 2]),
    "finish": (finishing, "end_run", "completed", [1, 2]),
    "fail": (failing, "end_run", "failed", [1]),
}


@pytest.fixture
def run_of(run_of, owner, team):
    """Create a run as the executor's ``run_of`` does, of an admin who wants a mail. Each of its endings is recorded."""
    owner.run_script(
        "CREATE TABLE endings (run_id uuid, status text);"
        "CREATE FUNCTION keep_ending() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        "  INSERT INTO endings VALUES (NEW.id, NEW.status); RETURN NULL; END $$;"
        "CREATE TRIGGER keep_ending AFTER UPDATE ON job_runs FOR EACH ROW"
        "  WHEN ((OLD.status, OLD.result, OLD.error, OLD.completed_at, OLD.slice) IS DISTINCT FROM"
        "        (NEW.status, NEW.result, NEW.error, NEW.completed_at, NEW.slice) AND NEW.completed_at IS NOT NULL)"
        "  EXECUTE FUNCTION keep_ending()"
    )

    def make(job):
        run = run_of(job)
        by = f"manual:user:{team.users['admin']}"
        owner.run_script(f"UPDATE job_runs SET notify = true, triggered_by = '{by}' WHERE id = '{run.id}'")
        return run

    return make


def worker(run, at, *, number=0):
    return Act(lambda db: work(run.id, number, db=db, settings=run.settings), at)


def cancel(run):
    return Act(
        lambda db: requests.cancel(state_of(db, run.id).run, requested_by="me", db=db, settings=run.settings),
        "cancel_run",
    )


def sweeping(run, at, counted):
    """Sweep an hour later, and return the number in ``counted``."""

    def do(db):
        age(run.owner, run.id, 3600)
        return sweep(db=db, settings=run.settings)[counted]

    return Act(do, at)


def assert_kept(run, status, steps):
    """Assert one ending, one mail and each step once, even after every message is repeated."""
    assert run.finish().replay().row["status"] == status
    assert steps_of(run.owner, run.id) == steps
    assert run.owner.run_script("SELECT CAST(run_id AS text), status FROM endings") == [[run.id, status]]
    assert run.owner.run_script("SELECT recipient FROM job_outbox") == [["admin@owls.example"]]


@pytest.mark.parametrize(
    ("at", "first", "status", "steps"),
    [
        ("claim", "worker", "cancelled", [1]),  # its next yield honours the request
        ("yield", "worker", "cancelled", [1]),
        ("slice end", "worker", "cancelled", [1]),  # no worker holds the run at that time
        ("finish", "worker", "completed", [1, 2]),
        ("fail", "worker", "failed", [1]),
        ("claim", "cancel", "cancelled", []),
        ("yield", "cancel", "cancelled", [1]),  # the step's writes are kept
        ("slice end", "cancel", "cancelled", [1]),
        ("finish", "cancel", "cancelled", [1]),
        ("fail", "cancel", "cancelled", [1]),
    ],
)
def test_an_accepted_cancel_is_honoured_and_a_refused_one_says_why(meet, run_of, at, first, status, steps):
    job, statement, *_ = WORKERS[at]
    run = run_of(job)
    met = meet(worker(run, statement), cancel(run), first=["worker", "cancel"].index(first))
    assert met.waited
    if status == "cancelled":
        assert met.other is None
    else:
        assert isinstance(met.other, Refused)
        assert str(met.other) == f'Cannot cancel a job with status "{status}"'
    assert_kept(run, status, steps)


@pytest.mark.parametrize("at", WORKERS)
def test_a_cancel_that_dies_was_never_asked_for(meet, run_of, at):
    job, statement, status, steps = WORKERS[at]
    run = run_of(job)
    met = meet(worker(run, statement), cancel(run), first=1, dies=True)
    assert met.waited
    assert isinstance(met.other, Died)
    assert_kept(run, status, steps)


@pytest.mark.parametrize("at", WORKERS)
def test_a_cancel_outlives_the_worker_that_dies_before_it(meet, run_of, at):
    job, statement, *_ = WORKERS[at]
    run = run_of(job)
    met = meet(worker(run, statement), cancel(run), dies=True)
    assert met.waited
    assert isinstance(met.one, Died)
    assert met.other is None
    assert_kept(run, "cancelled", {"claim": [], "yield": []}.get(at, [1]))


@pytest.mark.parametrize(("first", "dies"), ORDERS)
@pytest.mark.parametrize("at", ["yield", "slice end", "finish", "fail"])
def test_the_sweep_takes_no_run_from_a_worker_that_is_at_it(meet, run_of, at, first, dies):
    """It skips the row that the worker holds. The worker that lost the run writes nothing of its step."""
    job, statement, status, steps = WORKERS[at]
    run = run_of(job)
    met = meet(worker(run, statement), sweeping(run, "expire_leases", "recovered"), first=first, dies=dies)
    sweep_came_first = first == 1
    assert met.waited == sweep_came_first
    if not (sweep_came_first and dies):
        assert met.other == sweep_came_first
    is_lost = sweep_came_first != dies
    assert_kept(run, status, steps)
    assert (run.slices[0][1] == "lost") == is_lost


@pytest.mark.parametrize(("first", "dies"), ORDERS)
def test_a_cancel_of_an_expired_run_ends_it_as_cancelled_whoever_comes_first(meet, run_of, first, dies):
    run = run_of(counting)
    claim(run.db, run.id, 0, lease_s=0)
    met = meet(cancel(run), sweeping(run, "expire_leases", "recovered"), first=first, dies=dies)
    assert met.waited == (first == 1)
    if dies and first == 0:
        assert_kept(run, "completed", [1, 2])
    else:
        assert met.one is None
        assert_kept(run, "cancelled", [])


@pytest.mark.parametrize(("first", "dies"), ORDERS)
def test_a_message_that_is_sent_again_while_it_is_claimed_is_worked_once(meet, run_of, first, dies):
    run = run_of(counting)
    met = meet(worker(run, "claim_slice"), sweeping(run, "resend_due", "resent"), first=first, dies=dies)
    assert met.waited == (first == 1)
    if not (first == 1 and dies):
        assert met.other == first
    assert_kept(run, "completed", [1, 2])


@pytest.mark.parametrize("first", [0, 1])
def test_a_claim_with_time_left_keeps_its_run_from_the_sweep_that_fails_it(meet, run_of, first):
    """The claim finds a run with time left, or none; neither session waits."""
    run = run_of(counting).work()
    age(run.owner, run.id, 60)
    left = "interval '1 hour'" if first == 0 else "interval '-1 hour'"
    run.owner.run_script(f"UPDATE job_runs SET ends_by = clock_timestamp() + {left}")
    fail = Act(lambda db: db.query("end_overlong", keys=[run.id]), "end_overlong")
    met = meet(worker(run, "claim_slice", number=1), fail, first=first)
    assert not met.waited
    assert len(met.other) == first
    assert_kept(run, *(("failed", [1]) if first == 1 else ("completed", [1, 2])))


@pytest.mark.parametrize(("first", "dies"), ORDERS)
def test_the_run_of_a_deleted_project_is_stopped_or_claimed(meet, run_of, team, first, dies):
    run = run_of(counting)
    delete = f"UPDATE projects SET deleted_at = clock_timestamp() WHERE id = '{team.project_id}'"

    def stop(db):
        run.owner.run_script(delete)
        return sweep(db=db, settings=run.settings)["stopped"]

    met = meet(worker(run, "claim_slice"), Act(stop, "stop_deleted"), first=first, dies=dies)
    assert met.waited == (first == 1)
    if not (first == 1 and dies):
        assert met.other == first
    run.owner.run_script("UPDATE projects SET deleted_at = NULL")
    if first == 1 and not dies:
        assert_kept(run, "cancelled", [])
    else:
        assert_kept(run, "completed", [1, 2])


@pytest.mark.parametrize(("first", "dies"), ORDERS)
def test_a_run_ends_with_the_team_that_its_project_has_moved_to(meet, run_of, team, first, dies):
    run = run_of(finishing)
    new = make_team(run.owner, slug="new")

    def rehome(db):
        run.owner.run_script(
            f"UPDATE projects SET team_id = '{new.id}', slug = 'moved' WHERE id = '{team.project_id}';"
            f"INSERT INTO team_members (team_id, user_id, role) VALUES ('{new.id}', '{team.users['admin']}', 'member')"
        )
        return sweep(db=db, settings=run.settings)["rehomed"]

    met = meet(worker(run, "end_run"), Act(rehome, "rehome_runs"), first=first, dies=dies)
    assert met.waited == (first == 1)
    if not (first == 1 and dies):
        assert met.other == first
    assert_kept(run, "completed", [1, 2])
    assert run.row["team_id"] == new.id


@pytest.mark.parametrize(("first", "dies"), ORDERS)
@pytest.mark.parametrize("at", ["claim", "slice end", "finish"])
def test_the_cleanup_cancels_in_its_own_transaction_as_any_caller_does(meet, run_of, job_run, team, at, first, dies):
    """A cleanup that dies has requested and deleted nothing; the next one requests it again."""
    job, statement, status, _ = WORKERS[at]
    run = run_of(job)
    run.owner.run_script("UPDATE projects SET deleted_at = clock_timestamp() - interval '8 days'")
    cleanup = job_run("soft_delete_cleanup")
    met = meet(
        worker(run, statement),
        Act(lambda db: work(cleanup.id, 0, db=db, settings=run.settings), "cancel_run"),
        first=first,
        dies=dies,
    )
    assert met.waited
    while not run.owner.run_script(f"SELECT FROM endings WHERE run_id = '{run.id}'"):
        run.work()
    assert cleanup.finish().result["projects"] == 1
    stands = at in ("finish", "fail") and first == 0 and not dies  # the run ended before the request
    never_asked = first == 1 and dies
    expected = status if stands or never_asked else "cancelled"
    assert run.owner.run_script(f"SELECT status FROM endings WHERE run_id = '{run.id}'") == [[expected]]
    assert run.owner.run_script("SELECT run_id FROM steps GROUP BY run_id, step HAVING count(*) > 1") == []
