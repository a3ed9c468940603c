"""Moves for callers of the API: they trigger, cancel and rerun runs."""

from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from nightshift.base.errors import Conflict, NotFound, Refused, TooManyRuns
from nightshift.database.run_row import RunState
from nightshift.runs import requests
from tests.simulation import jobs
from tests.simulation.actors import Actor
from tests.simulation.moves import Arguments, Impossible, move, one_of
from tests.simulation.promises import LIVE, promise

if TYPE_CHECKING:
    from tests.simulation.play import Play


def _wish(play: "Play", rnd: Random) -> Arguments | None:
    if rnd.random() < 0.8 and any(run.status in LIVE and run.row["project_id"] for run in play.world.runs.values()):
        return None  # most triggers would be refused
    script = "".join(rnd.choice(jobs.LETTERS) for _ in range(rnd.randint(1, 8)))
    return (
        rnd.choice(("walk", "walk", "hike")),
        rnd.randrange(play.projects),
        script,
        rnd.choice(("", "", "a key", "another key")),
    )


@move(0.6, _wish)
def trigger(play: "Play", job_type: str, project: int, script: str, key: str) -> None:
    world = play.world
    team = world.team_of(project)
    if team is None:
        raise Impossible
    wish = requests.Trigger(
        job_type=jobs.TYPES[job_type],
        team_id=team.id,
        project_id=world.projects[project],
        triggered_by=f"manual:user:{team.users['admin']}",
        params={"project_id": world.projects[project], "script": script},
        notify=True,
        idempotency_key=key or None,
    )
    play.start(f"caller{play.number}", "api", lambda actor: _create(actor, wish))


def _create(actor: Actor, wish: requests.Trigger) -> None:
    world = actor.world
    try:
        run = requests.create(wish, db=actor.environment.db, settings=world.config)
    except Conflict as exc:
        if blocking := exc.extra.get("existing_run_id"):  # without one, the job type was just resumed
            actor.then = lambda: _was_live(actor, str(blocking))
        return
    except (Refused, NotFound, TooManyRuns):
        return
    run_id = str(run.id)

    def is_known() -> None:
        promise(run_id in world.runs, f"{actor.name} got a run that does not exist")
        if wish.idempotency_key is None or world.has_moved:
            return
        used = (wish.idempotency_key, wish.team_id)
        before = world.runs.get(world.keys.get(used, run_id))
        # The cleanup deletes a deleted project with its runs, and their keys.
        is_good = (
            before
            and not before.is_deleted
            and world.now - datetime.fromisoformat(before.row["created_at"]) < timedelta(hours=23)
        )
        promise(
            not is_good or world.keys.get(used, run_id) == run_id, f"{actor.name}: the same key created another run"
        )
        world.keys[used] = run_id

    actor.then = is_known


def _was_live(actor: Actor, run_id: str) -> None:
    run = actor.world.runs[run_id]
    ended = run.ended_at_record
    promise(
        ended is None or ended >= actor.began_at_record,
        f"{actor.name} was refused because of {run.name}, which had ended",
    )


def _to_cancel(play: "Play", rnd: Random) -> Arguments | None:
    live = [run.name for run in play.world.runs.values() if run.status in LIVE]
    name = one_of(rnd, live if rnd.random() < 0.8 else play.world.names)
    return (name,) if name else None


@move(0.3, _to_cancel)
def cancel(play: "Play", run: str) -> None:
    run_id = play.run_id(run)
    play.start(f"cancel{play.number}", "api", lambda actor: _cancel(actor, run_id))


def _cancel(actor: Actor, run_id: str) -> None:
    known, db = actor.world.runs[run_id], actor.environment.db
    state = db.one_as(RunState, "get_any_run", run_id=run_id, again_if_gone=True)
    if state is None:
        return
    try:
        requests.cancel(state.run, requested_by=f"manual:{actor.name}", db=db, settings=actor.world.config)
    except Refused:
        actor.then = lambda: promise(
            known.status not in LIVE, f"{known.name} could not be cancelled although it is {known.status}"
        )
        return
    known.cancel_accepted = True


def _ended(play: "Play", rnd: Random) -> Arguments | None:
    ended = [run.name for run in play.world.runs.values() if run.status not in LIVE and run.row["project_id"]]
    return (rnd.choice(ended), rnd.random() < 0.7) if ended else None


@move(0.15, _ended)
def rerun(play: "Play", run: str, from_cursor: bool) -> None:
    run_id = play.run_id(run)
    play.start(f"again{play.number}", "api", lambda actor: _rerun(actor, run_id, from_cursor=from_cursor))


def _rerun(actor: Actor, run_id: str, *, from_cursor: bool) -> None:
    """Rerun the run as functions/api does."""
    state = actor.environment.db.one_as(RunState, "get_any_run", run_id=run_id, again_if_gone=True)
    if state is None or state.run.status in LIVE or (from_cursor and state.run.status == "completed"):
        return
    old = state.run
    wish = requests.Trigger(
        job_type=jobs.TYPES[old.job_type],
        team_id=str(old.team_id),
        project_id=str(old.project_id),
        triggered_by=old.triggered_by,
        params=old.params,
        notify=True,
        rerun_of=state,
        from_cursor=from_cursor,
    )
    _create(actor, wish)
