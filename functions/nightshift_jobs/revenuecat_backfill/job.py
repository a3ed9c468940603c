"""RevenueCat Backfill: creates the users whom RevenueCat's list of customers names, one page of a hundred per step."""

import time
from collections.abc import Callable, Generator
from typing import Any

from nightshift.base.errors import JobError
from nightshift.base.settings import settings
from nightshift.jobs import JobDatabase, Progress, Run, Steps, Wait
from nightshift_jobs.revenuecat_backfill.tour import Tour
from nightshift_jobs.revenuecat_sync.crew import LEAVE_S
from nightshift_jobs.revenuecat_sync.place import ANOTHER_PROJECT, KeyChanged, read_place, require_open, secret_of
from nightshift_jobs.revenuecat_sync.revenuecat.api_errors import Denied, RateLimited, Rejected, Unavailable
from nightshift_jobs.revenuecat_sync.revenuecat.client import RevenueCat
from nightshift_jobs.revenuecat_sync.revenuecat.flight import Flight
from nightshift_jobs.revenuecat_sync.revenuecat.governor import Governor
from nightshift_jobs.revenuecat_sync.revenuecat.http_calls import CallsOf, HttpCalls
from nightshift_jobs.revenuecat_sync.walk import SECOND_LOOK_S


def revenuecat_backfill(
    run: Run, db: JobDatabase, *, clock: Callable[[], float] = time.time, calls: CallsOf = HttpCalls
) -> Steps:
    """Create the project's missing users. Anonymous customers are left out.

    Raises JobError if users cannot be created here, if RevenueCat refuses the key, or is unavailable for too long.
    """
    _require_insert(db)
    place = read_place(run, db)
    tour = Tour.of(run.cursor, run_id=run.id)
    governor = Governor(tour.governor if tour.fingerprint == place["fingerprint"] else None)
    try:
        secret = secret_of(place, run)
    except Unavailable as trouble:
        yield tour.waiting(trouble, clock())
        return {}
    flight = Flight(calls(secret), governor, secret=secret, clock=clock, remaining_s=lambda: run.remaining_s)
    try:
        yield from _pages(run, db, tour, place, flight=flight, governor=governor, clock=clock)
    finally:
        flight.close()
    return tour.counts


def _require_insert(db: JobDatabase) -> None:
    [needs] = db.read("backfill_needs")
    if not needs["may_insert"]:
        raise JobError(
            "The role of this job may not insert into app_users. GRANT INSERT (project_id, user_id) ON app_users TO "
            "nightshift_worker, then start the backfill again."
        )
    if needs["required"]:
        raise JobError(
            f"app_users requires values that RevenueCat does not have: {needs['required']}. Give these columns a "
            "default, then start the backfill again."
        )


def _pages(
    run: Run,
    db: JobDatabase,
    tour: Tour,
    place: dict[str, Any],
    *,
    flight: Flight,
    governor: Governor,
    clock: Callable[[], float],
) -> Generator[Progress | Wait, None, None]:
    """Read and write page after page."""
    client = RevenueCat(base_url=settings().revenuecat_url, project_id=place["wanted_project"], environment=None)
    while not tour.is_over:
        try:
            _open(client, tour, place, flight)
            rows, following = _read(client, tour, flight=flight, governor=governor, now=clock())
            user_ids = tour.wanted(rows)
            answer = db.write(
                "insert_app_users",
                project_id=run.project_id,
                fingerprint=place["fingerprint"],
                user_ids=user_ids,
            )[0]
            require_open(answer["state"])
            written = answer["written"]
            tour.take(rows, following, wanted=len(user_ids) - written["refused"], made=written["made"])
            step: Progress | Wait = tour.progress()
        except KeyChanged as exc:
            step = tour.wait(0, exc.waiting_for)
        except Denied as exc:
            step = _denied(run, db, tour, place, exc)
        except Unavailable as trouble:
            tour.governor = governor.saved(clock())
            step = tour.waiting(trouble, clock())
        tour.governor = governor.saved(clock())
        yield step


def _open(client: RevenueCat, tour: Tour, place: dict[str, Any], flight: Flight) -> None:
    flight.run(client.open())
    if tour.project not in (None, client.project_id):
        raise JobError(ANOTHER_PROJECT)
    tour.project, tour.fingerprint = client.project_id, place["fingerprint"]


def _read(
    client: RevenueCat, tour: Tour, *, flight: Flight, governor: Governor, now: float
) -> tuple[list[dict[str, Any]], str | None]:
    """Return the rows of the next page and the address behind it, as soon as the rate limit allows it."""
    wait_s = governor.wait_s(now, 1, in_flight=0)
    if wait_s > LEAVE_S:
        said = "RevenueCat's rate limit was used up"
        raise RateLimited(said, "no call left for the list", wait_s=governor.sleep_s(now, wait_s))
    flight.landed(wait_s)
    try:
        page: tuple[list[dict[str, Any]], str | None] = flight.run(client.customers(tour.page))
    except Rejected as exc:
        raise JobError(f"RevenueCat does not show the project's customers. {exc}") from exc
    return page


def _denied(run: Run, db: JobDatabase, tour: Tour, place: dict[str, Any], exc: Denied) -> Wait:
    if read_place(run, db)["fingerprint"] != place["fingerprint"]:
        return tour.wait(0, KeyChanged().waiting_for)
    if tour.is_denied:
        raise exc
    tour.is_denied = True
    return tour.wait(SECOND_LOOK_S, "another look at the key that RevenueCat refused")
