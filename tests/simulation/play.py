"""A play: moves from a seed or a list. The promises are checked after each move."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from typing import Any
from unittest import mock

from pg8000.exceptions import DatabaseError

from local import roles
from nightshift.base.errors import DatabaseBusy, DatabaseExhausted, DatabaseGone
from nightshift.database.queries import Database
from nightshift.jobs.registry import JOB_TYPES
from nightshift.schedules import slots
from tests.simulation import actors, callers, jobs, seams, servants
from tests.simulation.actors import Actor, Environment, Killed
from tests.simulation.faults import FAULTS, nothing
from tests.simulation.moves import MOVES, Impossible
from tests.simulation.promises import Broken, Promises, promise
from tests.simulation.rest import look_at_rest
from tests.simulation.stage import SEARCH_PATH
from tests.simulation.world import World

Made = tuple[Any, ...]

# Importing these modules registers their moves.
WITH_MOVES = (callers, servants)

# The errors of a function that could not do its work; SQS, EventBridge or the caller tries again.
TROUBLES = (DatabaseBusy, DatabaseExhausted, DatabaseGone, Killed)

# The database's own limits (nightshift.database.session_pins), applied by the simulator's clock.
IDLE_LIMIT_S, LOCK_LIMIT_S = 10, 5

# Rounds of a quarter of an hour in which the world comes to rest. They exceed the longest duration of a job.
ROUNDS, QUARTER_S = 200, 900
# A play with more operations, or more looks at a running actor, is considered endless.
MOST_OPERATIONS, MOST_LOOKS = 20_000, 10_000


class Play:
    """A play. ``made`` are its moves, in the form that ``again`` takes."""

    def __init__(self, world: World, seed: str):
        self.world, self.seed = world, seed
        self.random, self.ids = Random(seed), Random(f"ids of {seed}")
        self.made: list[Made] = []
        self.number = 0
        self.is_at_rest = False
        with self._in_place():
            world.begin()
        self.promises = Promises(world)

    def go(self, moves: int) -> None:
        """Make this many random moves, then come to rest. Raise Broken."""
        names, weights = list(MOVES), self._weights()
        with self._in_place():
            while self.number < moves:
                name = self.random.choices(names, weights)[0]
                arguments = MOVES[name].propose(self, self.random)
                if arguments is not None:
                    self._make(self.number + 1, name, arguments)
            self._rest()

    def again(self, made: Iterable[Made], *, to_rest: bool = True) -> None:
        """Make these moves except impossible ones, then come to rest. Raise Broken."""
        with self._in_place():
            for number, name, *arguments in made:
                self._make(number, name, tuple(arguments))
            if to_rest:
                self._rest()

    def _weights(self) -> list[float]:
        """Draw weights for this play: moves that are rare in one are common in another (swarm testing, Groce 2012)."""
        self.fault_rate = self.random.choice((0.0, 0.03, 0.06, 0.06, 0.15))
        self.projects = self.random.choice((1, 1, 3))
        self.faults = [name for name in FAULTS if self.random.random() < 0.7] or list(FAULTS)
        return [each.weight * (1 if each.is_steady else self.random.choice((0.1, 1, 1, 3))) for each in MOVES.values()]

    # ---- for moves ---------------------------------------------------------------------------------------------------

    def actor(self, name: str) -> Actor:
        for actor in self.world.actors:
            if actor.name == name:
                return actor
        raise Impossible

    def run_id(self, name: str) -> str:
        if name not in self.world.names:
            raise Impossible
        return self.world.names[name]

    def start(
        self,
        name: str,
        function: str,
        work: Callable[[Actor], Any],
        *,
        release: int = 1,
        user: str = "",
        **details: Any,
    ) -> None:
        """Start an actor in an idle environment or a new one. It then stops before its first operation."""
        environment = next(
            (
                each
                for each in self.world.environments
                if (each.function, each.release) == (function, release) and each.actor is None
            ),
            None,
        )
        if environment is None:
            config = dataclasses.replace(self.world.config, database_user=user or roles.OF_FUNCTION[function])
            db = Database(config, search_path=SEARCH_PATH) if user else Database(config)
            environment = Environment(function, db, release)
            self.world.environments.append(environment)
        actor = Actor(self.world, name, work, environment, **details)
        self.world.actors.append(actor)
        actor.start()
        self._settle(actor)

    def as_platform(self, script: str) -> None:
        """Start the platform's own application, or a person with psql, in a transaction on the platform's tables."""

        def run(actor: Actor) -> None:
            with actor.environment.db.transaction():
                actor.environment.db.run_script(script)

        self.start(f"platform{self.number}", "platform", run, user="postgres")

    def let_on(self, actor: Actor, fate: str = "") -> None:
        if fate:
            self.world.faults[fate] += 1
            actor.was_disturbed = True
            actor.fates.append(fate)
        actor.let_on(FAULTS[fate].does if fate else nothing)
        self._settle(actor)

    def kill(self, actor: Actor) -> None:
        actor.kill()
        self._settle(actor)

    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)
        for actor in self.world.actors:
            actor.was_disturbed |= actor.remaining_s() < 0
            waited_s = (self.world.now - actor.waits_since).total_seconds()
            if actor.is_blocked and waited_s >= LOCK_LIMIT_S:
                self._give_up_lock(actor)
        for environment in self.world.environments:
            if environment.function != "platform":  # the platform has no such limits
                self._end_idle_sessions(environment, seconds)
        self.world.outside.forget_old()

    # ---- one move ----------------------------------------------------------------------------------------------------

    def _make(self, number: int, name: str, arguments: Made) -> None:
        self.number = number
        try:
            arguments = MOVES[name].make(self, *arguments) or arguments
        except Impossible:
            return
        self.made.append((number, name, *arguments))
        self._look()

    def _look(self) -> None:
        self._settle_others()
        self.promises.keep_watch()
        for actor in [each for each in self.world.actors if each.is_over]:
            self._see_off(actor)

    def _see_off(self, actor: Actor) -> None:
        actors.end_of(actor)
        self.world.actors.remove(actor)
        actor.environment.actor = None
        if actor.doomed:
            actor.environment.close()
            self.world.environments.remove(actor.environment)
        elif actor.error and not self._may_raise(actor):
            raise Broken(f"{actor.name} raised {type(actor.error).__name__}: {actor.error}") from actor.error
        promise(actor.doomed or not actor.environment.left_open, f"{actor.name} left a session open")
        actor.when_over(actor)
        if actor.then and actor.error is None:
            actor.then()

    def _may_raise(self, actor: Actor) -> bool:
        # The function tries once more after a session lost its settings; the error stands if the second one loses them,
        # too.
        is_unfit = isinstance(actor.error, DatabaseError) and "settings lost" in actor.fates
        return isinstance(actor.error, TROUBLES) or is_unfit or actor.environment.function == "platform"

    def _settle(self, actor: Actor) -> None:
        """Wait until the actor stops again, ends, or waits for a lock that another actor will release."""
        for _ in range(MOST_LOOKS):
            if actor.stands.wait(0.01):
                actor.was_blocked = False
                return
            if self._waits_for_others(actor):
                self.world.faults["waited for a lock"] += not actor.was_blocked
                actor.was_blocked = True
                return
        raise Broken(f"{actor.name} neither stopped nor waits for a lock. Its last operation: {actor.operation}")

    def _settle_others(self) -> None:
        """Wait for actors whose locks the last commit or rollback may have released."""
        for actor in self.world.actors:
            if actor.is_blocked:
                self._settle(actor)

    def _waits_for_others(self, actor: Actor) -> bool:
        """Return whether stopped actors hold the locks it waits for. Postgres breaks deadlocks at once."""
        found, front = set(), {actor.name}
        while front:
            pids = {pid for each in front for pid in self.actor(each).blocking_pids()}
            front = set()
            for pid in pids:
                holder = self.world.sessions[pid].actor if pid in self.world.sessions else None
                if holder is None:
                    return False  # this session is about to end
                found.add(holder.name)
                if holder.is_blocked:
                    front.add(holder.name)
            if actor.name in found:
                return False
        return bool(found)

    def _give_up_lock(self, actor: Actor) -> None:
        for each in actor.environment.connections:
            self.world.owner.run_script(f"SELECT pg_cancel_backend({each.pid})")
        self.world.faults["lock given up"] += 1
        while not actor.stands.wait(0.003):
            pass

    def _end_idle_sessions(self, environment: Environment, seconds: float) -> None:
        actor = environment.actor
        if actor is not None and actor.is_blocked:
            return
        idle_s = (self.world.now - actor.waits_since).total_seconds() if actor else seconds
        for each in list(environment.connections):
            limit_s = IDLE_LIMIT_S if each.is_in_transaction else each.idle_limit_s
            if limit_s is not None and idle_s >= limit_s and each.is_alive:
                self.world.faults["idle session ended"] += 1
                each.end(self.world)

    # ---- the end -----------------------------------------------------------------------------------------------------

    def _rest(self) -> None:
        """End all faults: deliver every message, fire every slot, and sweep until no work is left."""
        self.is_at_rest = True
        self._exhaust()
        self.world.end_trouble()
        finished = 0
        for _ in range(ROUNDS):
            self._exhaust()
            for job_type, seconds in jobs.SCHEDULED_EVERY_S.items():
                slot = self.world.now - timedelta(seconds=self.world.now.timestamp() % seconds)
                MOVES["fire"].make(self, job_type, slot.isoformat())
            self._sweep()
            finished = 0 if self.world.owner.run_script(LEFT)[0][0] else finished + 1
            if finished == 2:
                break
            self.pass_time(QUARTER_S)
        look_at_rest(self.promises)
        self._stay_quiet()

    def _stay_quiet(self) -> None:
        """Check that without schedules nothing happens, however much time passes."""
        with mock.patch.dict(JOB_TYPES, jobs.TYPES, clear=True):
            slots.register({}, now=self.world.now, db=self.world.owner)
        sends = self.world.outside.sends
        for _ in range(3):
            self.pass_time(3 * 3600)
            self._sweep()
        promise(self.world.outside.sends == sends, f"{self.world.outside.sends - sends} messages were sent at rest")

    def _sweep(self) -> None:
        self._exhaust()
        MOVES["sweep"].make(self)
        self._exhaust()

    def _exhaust(self) -> None:
        """Let all actors end and all messages be delivered."""
        for _ in range(MOST_OPERATIONS):
            for actor in self.world.actors:
                actor.frozen = False
            standing = [actor for actor in self.world.actors if not actor.is_blocked]
            self.number += 1
            if standing:
                self.let_on(standing[0])
                self._look()
                continue
            assert not self.world.actors, f"waiting for locks that no actor holds: {self.world.actors}"
            message = next((n for n in self.world.outside.messages if self.world.outside.may_be_received(n)), None)
            if message is None:
                return
            MOVES["deliver"].make(self, message, False, 1, 120)
        going_on = [(actor.name, actor.operation and actor.operation.name) for actor in self.world.actors]
        raise Broken(f"still running after {MOST_OPERATIONS} operations: {going_on}")

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        with seams.in_place(self.world, self.ids):
            try:
                yield
            finally:
                self._clear_the_stage()

    def _clear_the_stage(self) -> None:
        for actor in self.world.actors:
            actor.kill()
        for actor in self.world.actors:
            actors.end_of(actor)
        for environment in self.world.environments:
            environment.close()


LEFT = """
SELECT EXISTS (SELECT FROM job_runs WHERE status IN ('pending', 'running') OR untold IS NOT NULL)
    OR EXISTS (SELECT FROM job_outbox WHERE status = 'unsent') OR EXISTS (SELECT FROM job_set_aside)
    OR EXISTS (SELECT FROM job_schedules WHERE next_slot <= statement_timestamp() - interval '20 minutes')
"""
