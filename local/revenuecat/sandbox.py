"""The sandbox's state, budgets and faults, independent of HTTP connections."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl

from local.revenuecat.customers import Customers
from local.revenuecat.drawing import DAY_MS
from local.revenuecat.endpoints import CUSTOMER_INFORMATION, PROJECT_CONFIGURATION, Route, look_up, route_of
from local.revenuecat.faults import Fault
from local.revenuecat.replies import Reply, error
from local.revenuecat.traffic import Budget, Call, summary


class Sandbox:
    """A RevenueCat project whose customers are generated from ``seed`` and their ids.

    ``budget`` and ``configuration_budget`` are calls per minute. ``latency_s`` delays each answer, except refusals for
    an exhausted budget. ``used_by_others`` is the part of ``budget`` that other clients with the key use at any time.
    ``clock`` (seconds) times the budgets. Times in generated records are relative to ``as_of_ms``, by default the
    beginning of the current day.

    ``customers`` maps canonical ids to records, and tests can assign records. ``calls`` logs the calls that had the
    right key and a known endpoint.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        api_key: str = "sk_sandbox",
        project_id: str = "proj1a2b3c4d",
        customer_ids: Sequence[str] = (),
        budget: int = 480,
        configuration_budget: int = 60,
        latency_s: float = 0.0,
        used_by_others: int = 0,
        clock: Callable[[], float] = time.monotonic,
        as_of_ms: int | None = None,
    ):
        if as_of_ms is None:
            as_of_ms = int(time.time() * 1000) // DAY_MS * DAY_MS
        self.api_key = api_key
        self.project_id = project_id
        self.latency_s = latency_s
        self.used_by_others = used_by_others
        self.customers = Customers(seed=seed, ids=customer_ids, as_of_ms=as_of_ms)
        self.calls: list[Call] = []
        self._clock = clock
        self._faults: list[Fault] = []
        self._budgets = {CUSTOMER_INFORMATION: Budget(budget), PROJECT_CONFIGURATION: Budget(configuration_budget)}
        self._lock = threading.Lock()

    @property
    def budget(self) -> int:
        return self._budgets[CUSTOMER_INFORMATION].limit

    def add_fault(self, /, **fields: Any) -> None:
        """Inject a fault into the next matching calls; for the fields see ``Fault``. Raise ValueError for others."""
        fault = Fault.from_fields(fields)
        with self._lock:
            self._faults.append(fault)

    def clear_faults(self) -> None:
        with self._lock:
            self._faults.clear()

    def stats(self) -> dict[str, Any]:
        """Return statistics of the calls: ``calls`` and ``busiest_minute`` by group, ``endpoints``, ``statuses``,
        ``rate_limited`` and ``impolite`` (calls before the ``Retry-After`` of a 429 had passed)."""
        with self._lock:
            return summary(list(self.calls))

    def answer(
        self, target: str, *, base_url: str, authorization: str | None, wait: Callable[[float], object]
    ) -> Reply | None:
        """Return the reply to ``GET target`` (path below the base URL, and query), or None to drop the connection.

        ``wait(seconds)`` is called to delay the answer.
        """
        path, _, query = target.partition("?")
        route = route_of(path)
        if authorization != f"Bearer {self.api_key}":
            return error(401, "Invalid API key.")
        if route is None:
            return error(404, f"Unknown endpoint {path}.")
        call, fault, refusal, usage = self._admit(route, path)
        if refusal is None:
            wait(self.latency_s + (fault.latency_s if fault else 0.0))
        reply = refusal or (fault.reply() if fault else None)
        if reply is None and not (fault and fault.drop_connection):
            reply = look_up(route, dict(parse_qsl(query)), base_url, self.project_id, self.customers)
        if reply and reply.status < 400:
            reply.headers["RevenueCat-Rate-Limit-Current-Usage"] = str(usage)
            reply.headers["RevenueCat-Rate-Limit-Current-Limit"] = str(self._budgets[route.group].limit)
        self._close(call, reply)
        return reply

    def _admit(self, route: Route, path: str) -> tuple[Call, Fault | None, Reply | None, int | None]:
        """Log the call, charge its budget and take its fault. A refused call takes no fault."""
        with self._lock:
            now = self._clock()
            call = Call(at=now, group=route.group, endpoint=route.endpoint, customer_id=route.customer_id)
            self.calls.append(call)
            budget = self._budgets[route.group]
            others = self.used_by_others if route.group == CUSTOMER_INFORMATION else 0
            usage = budget.spend(now, used_by_others=others)
            if usage is None:
                message = f"Rate limit of {budget.limit} requests per minute exceeded. Try again later."
                wait_s = budget.retry_after_s(now, used_by_others=others)
                return call, None, error(429, message, retry_after_s=wait_s), None
            fault = next((fault for fault in self._faults if fault.matches(path)), None)
            if fault and fault.times is not None:
                fault.times -= 1
            return call, fault, None, usage

    def _close(self, call: Call, reply: Reply | None) -> None:
        with self._lock:
            call.answered_at = self._clock()
            if reply:
                call.status = reply.status
                retry_after = reply.headers.get("Retry-After")
                call.retry_after_s = int(retry_after) if retry_after else None
