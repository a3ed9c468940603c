"""The sandbox's state, its budgets and its faults. Knows nothing of sockets."""

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
    """A RevenueCat project whose customers are drawn from ``seed`` and their ids.

    ``budget`` and ``configuration_budget`` are calls a minute, ``latency_s`` is added to each answer but a refusal for
    the budget, ``used_by_others`` is the part of ``budget`` that somebody else on the key uses at any time.
    ``clock`` (seconds) is what budgets go by. ``as_of_ms`` is the time the drawn records' times are counted back
    from, the beginning of this day unless given.

    ``customers`` maps canonical ids to records and takes exact ones. ``calls`` is the log of the calls that came with
    the right key to an endpoint there is.
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

    def add_fault(self, /, **fields: Any) -> None:
        """The next calls that match get this trouble; for the fields see ``Fault``. Raises ValueError."""
        fault = Fault.from_fields(fields)
        with self._lock:
            self._faults.append(fault)

    def clear_faults(self) -> None:
        with self._lock:
            self._faults.clear()

    def stats(self) -> dict[str, Any]:
        """The log of calls in numbers: ``calls`` and ``busiest_minute`` by group, ``endpoints``, ``statuses``,
        ``rate_limited`` and ``impolite`` (calls that came before the ``Retry-After`` of a 429 was over)."""
        with self._lock:
            return summary(list(self.calls))

    def answer(
        self, target: str, *, base_url: str, authorization: str | None, wait: Callable[[float], object]
    ) -> Reply | None:
        """The reply to ``GET target`` (the path below the base URL, and its query); None: drop the connection.

        ``wait(seconds)`` is called where the answer is to be late.
        """
        path, _, query = target.partition("?")
        route = route_of(path)
        if authorization != f"Bearer {self.api_key}":
            return error(401, "Invalid API key.")
        if route is None:
            return error(404, f"There is no endpoint {path}.")
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
        """Logs the call, charges its budget and takes the fault that waits for it; a refusal meets no fault."""
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
