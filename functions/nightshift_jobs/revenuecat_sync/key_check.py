"""The test of a RevenueCat key: what it may read, each permission by RevenueCat's name, within a few seconds."""

import json
import time
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import Field

from nightshift.base.settings import settings
from nightshift.jobs import KeyReport
from nightshift.jobs.params import NoParams
from nightshift_jobs.revenuecat_sync.revenuecat.answers import Answer
from nightshift_jobs.revenuecat_sync.revenuecat.client import text_of
from nightshift_jobs.revenuecat_sync.revenuecat.http_calls import Calls, CallsOf, HttpCalls
from nightshift_jobs.revenuecat_sync.revenuecat.mapping import storable

# Asked for if the project's list of customers is empty or hidden. RevenueCat answers with 404 if the key may ask.
NO_CUSTOMER = "nightshift-key-check"
PROJECTS = "project_configuration:projects:read"
# The calls of a sync, by what they read, with the permission that each needs and its path below the project.
READS = {
    "customers": ("customer_information:customers:read", "customers?limit=1"),
    "subscriptions": ("customer_information:subscriptions:read", "customers/{customer}/subscriptions?limit=1"),
    "purchases": ("customer_information:purchases:read", "customers/{customer}/purchases?limit=1"),
    "products": ("project_configuration:products:read", "products?limit=1"),
    "entitlements": ("project_configuration:entitlements:read", "entitlements?limit=1"),
}
# Of the time for the whole test, the part for the first call: without its answer there is no second one.
FIRST_PART = 0.5
LONGEST_SAID = 300


class RevenueCatConfig(NoParams):
    """The config of a RevenueCat integration."""

    project_id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[!-~]+$")] | None = Field(
        default=None,
        title="RevenueCat project id",
        description="Needed only if the key can read several projects.",
    )


def check_key(
    key: str,
    config: dict[str, Any],
    *,
    budget_s: float,
    calls: CallsOf = HttpCalls,
    clock: Callable[[], float] = time.monotonic,
) -> KeyReport:
    """Ask RevenueCat for a row of each kind that a sync reads. Both rounds together end within ``budget_s``."""
    ends_at = clock() + budget_s
    made = calls(key)
    try:
        base = settings().revenuecat_url.rstrip("/")
        first = _answers(made, [f"{base}/projects"], ends_at=clock() + budget_s * FIRST_PART, clock=clock)[0]
        names = _projects(first)
        if trouble := _trouble(first, names, config, key):
            return trouble
        project_id = config.get("project_id") or next(iter(names), None)
        if project_id is None:
            return KeyReport(lacks=(PROJECTS,), untested="the key does not show its project: set config.project_id")
        urls = [
            f"{base}/projects/{quote(project_id, safe='')}/{path.format(customer=NO_CUSTOMER)}"
            for _, path in READS.values()
        ]
        answers = dict(zip(READS, _answers(made, urls, ends_at=ends_at, clock=clock), strict=True))
    finally:
        made.close()
    return _report(answers, account=f"project {names.get(project_id) or project_id}", key=key)


def _answers(calls: Calls, urls: list[str], *, ends_at: float, clock: Callable[[], float]) -> list[Answer]:
    """Make the calls side by side, and return their answers in order. A late one is an answer without a status."""
    for number, url in enumerate(urls):
        calls.send(number, url, timeout_s=max(0.1, ends_at - clock()))
    landed: dict[int, Answer] = {}
    while len(landed) < len(urls) and (left_s := ends_at - clock()) > 0:
        if answer := calls.next(left_s):
            landed[answer[0]] = answer[1]
    return [landed.get(number, Answer(0, failure="no answer in time")) for number in range(len(urls))]


def _trouble(first: Answer, names: dict[str, str], config: dict[str, Any], key: str) -> KeyReport | None:
    """Return the report if the first answer says that the key is of no use, or nothing at all."""
    if first.status == 401:
        return KeyReport(trouble=f"RevenueCat refuses the key: {_said(first, key)}")
    if first.status not in (200, 403):
        return KeyReport(untested=_why_not(first, key))
    wanted = config.get("project_id")
    if not wanted and len(names) > 1:
        return KeyReport(trouble=f"The key can read {len(names)} projects: set project_id in the config to one of them")
    return None


def _report(answers: dict[str, Answer], *, account: str, key: str) -> KeyReport:
    """Tell the kinds of answers apart. 404 means that the key may ask: only the customer is unknown."""
    reads = tuple(kind for kind, answer in answers.items() if answer.status in (200, 404))
    lacks = tuple(READS[kind][0] for kind, answer in answers.items() if answer.status == 403)
    others = {kind: answer for kind, answer in answers.items() if answer.status not in (200, 403, 404)}
    untested = ""
    if others:
        first = next(iter(others.values()))
        untested = f"{_why_not(first, key)} ({', '.join(others)})"
    foreign = next((_said(each, key) for each in answers.values() if each.status == 403), "")
    # A key of another project is refused everywhere, in the same words.
    trouble = f"RevenueCat refuses the project: {foreign}" if len(lacks) == len(answers) else ""
    return KeyReport(account=account, reads=reads, lacks=() if trouble else lacks, trouble=trouble, untested=untested)


def _projects(answer: Answer) -> dict[str, str]:
    """Return the names of the projects in the answer, by id."""
    items = _json(answer).get("items")
    rows = items if isinstance(items, list) else []
    return {id: text_of(row, "name") or id for row in rows if (id := text_of(row, "id"))}


def _why_not(answer: Answer, key: str) -> str:
    if not answer.status:
        return f"RevenueCat could not be reached: {answer.failure}"
    return f"RevenueCat answered {answer.status}: {_said(answer, key)}"


def _said(answer: Answer, key: str) -> str:
    """Return RevenueCat's sentence, without the key."""
    said = _json(answer).get("message") or answer.reason or "without a reason"
    return storable(str(said).replace(key, "sk_…"))[:LONGEST_SAID]


def _json(answer: Answer) -> dict[str, Any]:
    try:
        body = json.loads(answer.data)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
