"""Promises 1 to 4 under faults: 200 syncs with dying and freezing workers, and lost, doubled and late messages."""

import dataclasses
import random
from collections import Counter

import pytest

from local.revenuecat.sandbox import Sandbox
from local.revenuecat.server import serve
from nightshift.database.queries import Database
from nightshift.testing.rows import make_team
from tests.support.chaos import LEASE_S, REMAINING_S, Chaos, Delivery, Fate, Stuck, start_forks
from tests.support.fixtures import install, settings_for, throwaway_postgres

# The bounds of Chaos end what hangs, by what happens and not by the time.
pytestmark = pytest.mark.timeout(3600)

USERS = 14
# A limit of lost slices that these faults cannot reach.
UNREACHED = 10**6

BOUNDARIES = [(True, n) for n in range(8)] + [(False, n) for n in range(12)]


@pytest.fixture
def settings(config, monkeypatch):
    start_forks(monkeypatch)
    people = [f"person-{n}" for n in range(USERS)]
    sandbox = Sandbox(seed=7, customer_ids=people, budget=10**9, configuration_budget=10**9)
    with serve(sandbox) as url:
        yield dataclasses.replace(
            config,
            revenuecat_url=url,
            lease_margin_s=LEASE_S - REMAINING_S,
            slice_reserve_s=0,
            resend_delay_s=0.5,
            resend_ceiling_s=2,
            lost_slices_limit=UNREACHED,
            lost_slices_ceiling=UNREACHED,
        )


@pytest.fixture
def arena(owner):
    record_changes(owner)
    return owner


def record_changes(owner):
    """Record every update of a user and every change of a run's status or cursor, with triggers."""
    owner.run_script(
        """
        CREATE TABLE user_updates (user_pk uuid);
        CREATE TABLE run_changes (n bigserial, run_id uuid, slice int, status text, after text);
        CREATE FUNCTION note_user() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
            'BEGIN INSERT INTO user_updates VALUES (NEW.id); RETURN NEW; END';
        CREATE FUNCTION note_run() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
            $$BEGIN INSERT INTO run_changes (run_id, slice, status, after)
                    VALUES (NEW.id, NEW.slice, NEW.status, NEW.cursor->>'after'); RETURN NEW; END$$;
        CREATE TRIGGER note_user AFTER UPDATE ON app_users FOR EACH ROW EXECUTE FUNCTION note_user();
        CREATE TRIGGER note_run AFTER UPDATE ON job_runs FOR EACH ROW
            WHEN (NEW.status <> OLD.status OR NEW.cursor IS DISTINCT FROM OLD.cursor) EXECUTE FUNCTION note_run();
        """
    )


def begin(owner, *, runs):
    """Create ``runs`` projects with the same users, each with a pending sync."""
    make_team(owner, projects=runs)
    owner.run_script(
        f"""
        INSERT INTO project_integrations (project_id, provider, config, secret_encrypted)
            SELECT id, 'revenuecat', '{{"project_id": "proj1a2b3c4d"}}', 'sk_sandbox' FROM projects;
        INSERT INTO app_users (project_id, user_id, is_anonymous)
            SELECT id, 'person-' || n, n % 7 = 3 FROM projects, generate_series(0, {USERS - 1}) n;
        INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, params, resend_at)
            SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'test', '{{}}',
                   clock_timestamp() + interval '0.5 s' FROM projects;
        """
    )
    return [str(run_id) for (run_id,) in owner.run_script("SELECT id FROM job_runs ORDER BY project_id")]


def assert_every_user_written_once_and_equal(owner, *, of="true"):
    """Assert one update for each user that the provider knows, and equal rows in every project."""
    differing = owner.run_script(
        "SELECT user_id, count(DISTINCT (properties, total_revenue_usd_cents)) FROM app_users"
        f" JOIN job_runs run USING (project_id) WHERE {of} GROUP BY user_id HAVING"
        " count(DISTINCT (properties, total_revenue_usd_cents)) > 1"
    )
    assert differing == []
    updates = Counter(str(user) for (user,) in owner.run_script("SELECT user_pk FROM user_updates"))
    assert set(updates.values()) == {1}
    written = owner.run_script(
        f"SELECT count(*) FROM app_users JOIN job_runs run USING (project_id) WHERE properties <> '{{}}' AND {of}"
    )
    assert written[0][0] > 0


def assert_steps_went_forward(owner):
    """Assert that committed cursors only increase: the sync walks by primary key."""
    last: dict[str, str] = {}
    for run_id, after in owner.run_script("SELECT run_id, after FROM run_changes WHERE after IS NOT NULL ORDER BY n"):
        assert after >= last.get(run_id, ""), f"run {run_id} stepped back"
        last[run_id] = after
    assert last


def endings(owner):
    """Count how often each run entered an ended state."""
    rows = owner.run_script(
        "SELECT run_id, count(*) FROM run_changes WHERE status NOT IN ('pending', 'running')"
        " AND status IS DISTINCT FROM (SELECT c.status FROM run_changes c WHERE c.run_id = run_changes.run_id"
        "  AND c.n < run_changes.n ORDER BY c.n DESC LIMIT 1) GROUP BY run_id"
    )
    return {str(run_id): count for run_id, count in rows}


def test_killed_and_frozen_at_every_boundary_and_at_random_moments(settings, arena, connect, capsys):
    seed = random.randrange(10**6)
    with capsys.disabled():
        print(f" seed {seed} ", end="")
    rnd = random.Random(seed)
    runs = begin(arena, runs=200)
    order = {run: n for n, run in enumerate(runs)}

    def fate(run_id, number, nth):
        n = order[run_id]
        action, one_step, boundary = "kill" if n % 2 else "freeze", n % 4 < 2, n // 4 % 12
        # Every boundary of the first three slices. A worker that loses its slice on a busy machine never comes to its
        # boundary; then the next one is to stop there.
        is_its_turn = number == n // 48 and nth == 1
        if n < 144 and (is_its_turn or (action, one_step, boundary) not in chaos.struck):
            return Fate(action=action, boundary=boundary, one_step=one_step)
        if n >= 144 and number < 3:
            return Fate(seconds=rnd.uniform(0, 0.1), one_step=one_step)
        return Fate(one_step=one_step)

    chaos = Chaos(settings, fate=fate)
    chaos.messages = [(0, run, 0) for run in runs]
    chaos.until_ended(connect(user="postgres"))

    with capsys.disabled():
        print(chaos.happened, end=" ")
    statuses = arena.run_script("SELECT status, count(*) FROM job_runs GROUP BY 1")
    assert statuses == [["completed", 200]]
    assert_every_user_written_once_and_equal(arena)
    assert_steps_went_forward(arena)
    assert set(endings(arena).values()) == {1}
    # Before and after: claim, a commit, the slice's end, the send; or claim, four commits, the run's end.
    boundaries = {(action, one_step, n) for action in ("kill", "freeze") for one_step, n in BOUNDARIES}
    assert boundaries <= chaos.struck
    assert chaos.happened["struck"] > 10


@pytest.mark.parametrize("trouble", ["lost once", "twice", "late and out of order", "all of it"])
def test_a_queue_that_misbehaves(settings, arena, connect, trouble):
    rnd = random.Random(trouble)
    runs = begin(arena, runs=12)

    def delivery(run_id, number, nth):
        match trouble:
            case "lost once":
                return Delivery(lost=nth == 1)
            case "twice":
                return Delivery(copies=2)
            case "late and out of order":
                return Delivery(late_s=rnd.uniform(0, 1.5))
        return Delivery(lost=rnd.random() < 0.3, copies=rnd.choice([1, 2, 3]), late_s=rnd.uniform(0, 1))

    chaos = Chaos(settings, delivery=delivery)
    if trouble != "lost once":
        chaos.messages = [(0, run, 0) for run in runs for _ in range(2)]
    chaos.until_ended(connect(user="postgres"))

    assert arena.run_script("SELECT status, count(*) FROM job_runs GROUP BY 1") == [["completed", 12]]
    assert_every_user_written_once_and_equal(arena)
    assert set(endings(arena).values()) == {1}


@pytest.fixture
def server():
    with throwaway_postgres() as server:
        yield server


def test_postgres_restarted_in_the_middle_twice(settings, server, request):
    """The test's own server crashes and is stopped quickly while 24 syncs use it."""
    owner = Database(settings_for(server, "postgres", user="postgres"))
    request.addfinalizer(owner.close)
    install(owner)
    record_changes(owner)
    runs = begin(owner, runs=24)
    restarts, wanted = iter(["immediate", "fast"]), [10]

    def restart():
        done = owner.run_script("SELECT count(*) FROM run_changes WHERE after IS NOT NULL")[0][0]
        if done >= wanted[0] and (mode := next(restarts, None)):
            wanted[0] += 30
            server.stop(mode)
            server.start(fsync="off")

    here = dataclasses.replace(settings, database_port=server.port, database_name="postgres")
    chaos = Chaos(here)
    chaos.messages = [(0, run, 0) for run in runs]
    chaos.until_ended(owner, between=restart)

    assert owner.run_script("SELECT status, count(*) FROM job_runs GROUP BY 1") == [["completed", 24]]
    assert_every_user_written_once_and_equal(owner)
    assert next(restarts, None) is None
    assert owner.run_script("SELECT count(*) FROM job_timeline WHERE outcome = 'lost'")[0][0] > 0


def test_cancels_at_random_moments_leave_one_true_end(settings, arena, connect, capsys):
    seed = random.randrange(10**6)
    with capsys.disabled():
        print(f" seed {seed} ", end="")
    rnd = random.Random(seed)
    runs = begin(arena, runs=60)
    accepted, refused, waiting = set(), set(), set(runs[1:])
    owner = connect(user="postgres")

    def cancel_some():
        for run in rnd.sample(sorted(waiting), min(3, len(waiting))):
            waiting.discard(run)
            answer = owner.one("cancel_run", run_id=run, requested_by="test")
            (accepted if answer else refused).add(run)

    chaos = Chaos(settings, fate=lambda *_: Fate(action="kill", boundary=rnd.randrange(20)))
    chaos.messages = [(0, run, 0) for run in runs]
    chaos.until_ended(owner, between=cancel_some)

    ended = {str(run): status for run, status in arena.run_script("SELECT id, status FROM job_runs")}
    assert {ended[run] for run in accepted} == {"cancelled"}
    assert {ended[run] for run in refused} <= {"completed"}
    assert set(endings(arena).values()) == {1}
    assert accepted


def test_what_hangs_is_told_with_its_runs(settings, arena, connect):
    [run] = begin(arena, runs=1)
    chaos = Chaos(settings, delivery=lambda *_: Delivery(lost=True), still_sweeps=10)
    with pytest.raises(Stuck, match=rf"^10 sweeps changed nothing, 0 messages were delivered, .*{run}"):
        chaos.until_ended(connect(user="postgres"))


def test_what_goes_in_circles_is_told_with_its_runs(settings, arena, connect):
    [run] = begin(arena, runs=1)
    chaos = Chaos(settings, fate=lambda *_: Fate(action="kill", boundary=0), deliveries_per_run=3)
    chaos.messages = [(0, run, 0)]
    with pytest.raises(Stuck, match=rf"4 messages were delivered, .*{run}"):
        chaos.until_ended(connect(user="postgres"))
