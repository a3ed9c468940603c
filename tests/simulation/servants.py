"""Moves for the sweep, the schedules, the operator and the platform's own application."""

from datetime import datetime
from random import Random
from typing import TYPE_CHECKING

from pg8000.exceptions import DatabaseError

from nightshift.base.errors import Conflict, Refused
from nightshift.database.connection import fields_of
from nightshift.database.queries import DOUBTFUL
from nightshift.healing import sweep as healer
from nightshift.operator import run_commands as operator_runs
from nightshift.runs import pauses
from nightshift.schedules import slots
from nightshift.tenants.audit import Author
from tests.simulation import jobs
from tests.simulation.actors import Actor
from tests.simulation.moves import Arguments, move, one_of
from tests.simulation.promises import LIVE
from tests.simulation.stage import RIGHT_IN_TROUBLE
from tests.support.fixtures import ROLES

if TYPE_CHECKING:
    from tests.simulation.play import Play

OPERATOR = Author(actor="operator:ada", request_id="r")


@move(0.45, lambda play, rnd: () if sum(a.environment.function == "sweep" for a in play.world.actors) < 3 else None)
def sweep(play: "Play") -> None:
    play.start(f"sweep{play.number}", "sweep", _sweep)


def _sweep(actor: Actor) -> None:
    healer.sweep(
        now=actor.world.now, db=actor.environment.db, settings=actor.world.config, remaining_s=actor.remaining_s
    )


def _slot(play: "Play", rnd: Random) -> Arguments | None:
    """Return mostly the last slot; sometimes an old or a future one, as a late delivery or a wrong clock would."""
    job_type = rnd.choice(("tally", "tally", "soft_delete_cleanup"))
    seconds = jobs.SCHEDULED_EVERY_S[job_type]
    back = rnd.choice((0, 0, 0, 0, 1, 2, -1))
    slot = (int(play.world.now.timestamp()) // seconds - back) * seconds
    return job_type, datetime.fromtimestamp(slot, play.world.now.tzinfo).isoformat()


@move(0.2, _slot)
def fire(play: "Play", job_type: str, slot: str) -> None:
    play.start(
        f"fire{play.number}",
        "schedule",
        lambda actor: slots.fire(
            job_type,
            time=datetime.fromisoformat(slot),
            now=actor.world.now,
            db=actor.environment.db,
            settings=actor.world.config,
        ),
    )


@move(0.05, lambda play, rnd: (rnd.choice(("tally", "soft_delete_cleanup")),))
def start_system_job(play: "Play", job_type: str) -> None:
    def start(actor: Actor) -> None:
        try:
            operator_runs.trigger(
                job_type=job_type, db=actor.environment.db, settings=actor.world.config, author=OPERATOR
            )
        except (Conflict, Refused):
            return
        except DatabaseError as exc:
            # A pooler lost the session's settings within the transaction: the operator gives the command again.
            if fields_of(exc).get("C") not in DOUBTFUL:
                raise

    play.start(f"operator{play.number}", "operate", start)


@move(0.04, lambda play, rnd: (rnd.choice(("walk", "tally")), rnd.choice(("type", "schedule"))))
def pause(play: "Play", job_type: str, what: str) -> None:
    def stop(actor: Actor) -> None:
        try:
            pauses.pause(jobs.TYPES[job_type], what=what, by="operator", why="a play", db=actor.environment.db)
        except Refused:
            return

    play.start(f"pause{play.number}", "operate", stop)


@move(0.1, lambda play, rnd: (rnd.choice(("walk", "tally")),))
def resume(play: "Play", job_type: str) -> None:
    def go_on_again(actor: Actor) -> None:
        try:
            pauses.resume(jobs.TYPES[job_type], db=actor.environment.db)
        except Refused:
            return

    play.start(f"resume{play.number}", "operate", go_on_again)


def _live(play: "Play", rnd: Random) -> Arguments | None:
    name = one_of(rnd, (run.name for run in play.world.runs.values() if run.status in LIVE))
    return (name,) if name else None


@move(0.12, _live)
def hold_run(play: "Play", run: str) -> None:
    """Let a person with psql lock a run and keep the transaction open for a while."""
    play.as_platform(f"SELECT FROM job_runs WHERE id = '{play.run_id(run)}' FOR UPDATE")


@move(0.03, lambda play, rnd: (rnd.randrange(play.projects),))
def delete_project(play: "Play", project: int) -> None:
    """Delete the project so long ago that the cleanup takes it."""
    play.as_platform(
        "UPDATE projects SET deleted_at = clock_timestamp() - interval '8 days'"
        f" WHERE id = '{play.world.projects[project]}'"
    )


@move(0.05, lambda play, rnd: (rnd.randrange(play.projects),))
def restore_project(play: "Play", project: int) -> None:
    play.as_platform(f"UPDATE projects SET deleted_at = NULL WHERE id = '{play.world.projects[project]}'")


@move(0.03, lambda play, rnd: (rnd.randrange(play.projects), rnd.randrange(2)))
def move_project(play: "Play", project: int, team: int) -> None:
    play.world.has_moved = True
    play.as_platform(
        f"UPDATE projects SET team_id = '{play.world.teams[team].id}', slug = 'moved-' || slug || '-{play.number}'"
        f" WHERE id = '{play.world.projects[project]}'"
    )


@move(0.04, lambda play, rnd: ())
def begin_trouble(play: "Play") -> None:
    """Take a right from the functions: they cannot read recipients, so an ending's mails cannot be written."""
    play.as_platform(f"REVOKE {RIGHT_IN_TROUBLE} FROM {ROLES}")


@move(0.08, lambda play, rnd: ())
def end_trouble(play: "Play") -> None:
    play.as_platform("SELECT grant_job_rights()")
