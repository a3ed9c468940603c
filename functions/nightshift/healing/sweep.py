"""The sweep, once a minute: finds rows that are lost, unsent, missed or too old, and heals them in batches."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nightshift.base.errors import DatabaseGone, sentence
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.healing import team_failures
from nightshift.healing.healers import LATE_ENDINGS_S, Healer, healers_of
from nightshift.healing.set_aside import SetAside
from nightshift.overview.counting import count_endings
from nightshift.schedules import slots

# A batch is only started if more than this many seconds are left.
RESERVE_S = 20

COUNTS = (
    *("recovered", "ended", "rehomed", "stopped", "resent", "told", "mails"),
    *("caught_up", "missed", "silent", "scheduled", "skipped", "bulk_items"),
    *("expiring", "alerts", "counted", "pruned", "refused", "set_aside"),
)


def sweep(*, now: datetime, db: Database, settings: Settings, remaining_s: Callable[[], float]) -> dict[str, int]:
    """Heal rows, batch by batch while time remains. Return the counts of what was done.

    If there is nothing to do, this takes one statement. Rows are searched for once, because each search reads all live
    runs. Concurrent sweeps share the work (SKIP LOCKED). The next sweep handles the rows that are left when time runs
    out. A row that cannot be healed is set aside and does not affect other rows. A failing healer does not stop the
    others; the first exception is raised again at the end.
    """
    counts: Counter[str] = Counter()
    current = _Sweep(SetAside(db, counts), db, remaining_s)
    healers = healers_of(now=now, counts=counts, db=db, settings=settings)
    found = current.find_work(now=now, schedules_until=now - slots.GRACE, retention_s=settings.retention_days * 86_400)
    if found["set_aside"]:
        with current.keeping_failures("the rows set aside"):
            current.aside.load()
    done = [healer.name for healer in healers if not found[healer.name] or current.heal_all(healer)]
    if found["uncounted"]:
        with current.keeping_failures("the days of the overview"):
            counts["counted"] = count_endings(late_s=LATE_ENDINGS_S, may_go_on=lambda: remaining_s() > RESERVE_S, db=db)
    with current.keeping_failures("the rows set aside"):
        current.aside.forget_healed(done)
        current.aside.tell()
    if found["failing"]:
        with current.keeping_failures("the failures of teams"):
            team_failures.count(db)
    if counts.total():
        logger.info("Swept", action="swept", **dict[str, Any](counts))
    if current.failures:
        raise current.failures[0]
    return {name: counts[name] for name in COUNTS}


@dataclass
class _Sweep:
    aside: SetAside
    db: Database
    remaining_s: Callable[[], float]
    failures: list[Exception] = field(default_factory=list)
    found: dict[str, defaultdict[str, list[str]]] = field(default_factory=dict)
    """The keys of each query's rows, by healer."""

    def find_work(self, **horizons: Any) -> dict[str, bool]:
        """Return which healers have work to do. If the query fails, every healer looks for its own rows."""
        try:
            return self.db.query("find_work", **horizons, again_if_gone=True)[0]
        except DatabaseGone:
            raise
        except Exception as exc:
            logger.exception("The sweep failed at the search for work", action="sweep_failed")
            self.failures.append(exc)
            return defaultdict(lambda: True)

    def heal_all(self, healer: Healer) -> bool:
        """Heal the healer's rows. Return whether all are done, apart from the rows set aside."""
        with self.keeping_failures(healer.name):
            if self.remaining_s() <= RESERVE_S:
                return False
            found, passed_over = self._find(healer), self.aside.keys(healer.name)
            keys = [key for key in found if key not in passed_over]
            for first in range(0, len(keys), healer.batch):
                if first and self.remaining_s() <= RESERVE_S:
                    return False
                if not self._heal(healer, keys[first : first + healer.batch]):
                    return False
            if len(found) < self._at_most(healer):
                if healer.finish:
                    healer.finish()
                return True
        return False

    def _find(self, healer: Healer) -> list[str]:
        """Return the keys of the healer's rows, also of those set aside. Each query runs once."""
        if healer.find not in self.found:
            found: defaultdict[str, list[str]] = defaultdict(list)
            passed_over: dict[str, Any] = {"passed_over": list(self.aside.keys(healer.name))} if healer.shares else {}
            for row in self.db.query(healer.find, at_most=self._at_most(healer), **healer.horizon, **passed_over):
                found[row.get("healer", healer.name)].append(row["key"])
            self.found[healer.find] = found
        return self.found[healer.find][healer.name]

    def _at_most(self, healer: Healer) -> int:
        """Return how many rows to find: rows set aside must not leave the healer without others."""
        return healer.at_most + self.aside.count

    def _heal(self, healer: Healer, keys: list[str]) -> bool:
        """Heal a batch, or its rows one by one if the batch fails. Return whether there was time for all."""
        if len(keys) == 1:
            self._heal_one(healer, keys[0])
            return True
        if not self.aside.is_slow(healer.name):
            try:
                healer.heal(keys)
            except Exception as exc:
                logger.warning(
                    f"A batch failed; healing its rows one by one: {sentence(exc)}",
                    action="batch_failed",
                    healer=healer.name,
                    rows=len(keys),
                )
                if self.remaining_s() <= RESERVE_S:
                    self.aside.add_slow(healer.name, exc)
            else:
                return True
        for key in keys:
            if self.remaining_s() <= RESERVE_S:
                return False
            self._heal_one(healer, key)
        return True

    def _heal_one(self, healer: Healer, key: str) -> None:
        try:
            healer.heal([key])
        except Exception as exc:
            self.aside.add(healer.name, key, exc)

    @contextmanager
    def keeping_failures(self, part: str) -> Iterator[None]:
        try:
            yield
        except Exception as exc:
            logger.exception(f"The sweep failed at {part}", action="sweep_failed")
            self.failures.append(exc)
