"""Faults that tests inject: the next matching calls get the fault instead of their answer."""

from dataclasses import dataclass
from typing import Any

from local.revenuecat.replies import ERROR_TYPES, Reply, error, proxy_page

FIELDS: dict[str, type | tuple[type, ...]] = {
    "status": int,
    "times": (int, type(None)),
    "path": str,
    "message": str,
    "param": str,
    "retry_after": int,
    "latency_s": (int, float),
    "drop_connection": bool,
    "html": (bool, type(None)),
}


@dataclass(kw_only=True)
class Fault:
    """A fault for the next ``times`` calls whose path contains ``path``; with None, for all calls until it is cleared.

    Without ``status`` and ``drop_connection`` the call gets its normal answer after ``latency_s`` seconds.
    If ``html`` is None, 502 and 504 are sent as HTML, others as JSON. ``retry_after`` is in seconds.
    """

    status: int | None = None
    times: int | None = 1
    path: str = ""
    message: str = "Something went wrong on our side."
    param: str | None = None
    retry_after: int = 1
    latency_s: float = 0.0
    drop_connection: bool = False
    html: bool | None = None

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "Fault":
        """Return a fault from JSON fields. Raise ValueError with a full sentence for invalid fields."""
        for name, value in fields.items():
            if name not in FIELDS:
                raise ValueError(f"Unknown field {name!r} of a fault. Must be one of: {', '.join(FIELDS)}.")
            if not isinstance(value, FIELDS[name]):
                raise ValueError(f"Invalid {name} of a fault: {value!r}.")
        if fields.get("status", 500) not in ERROR_TYPES:
            raise ValueError(f"The fault's status must be one of {sorted(ERROR_TYPES)}, got {fields['status']}.")
        return cls(**fields)

    def matches(self, path: str) -> bool:
        return self.path in path and self.times != 0

    def reply(self) -> Reply | None:
        """Return the fault's reply, or None if the call gets its normal answer."""
        if self.status is None:
            return None
        if self.html or (self.html is None and self.status in (502, 504)):
            return proxy_page(self.status)
        return error(self.status, self.message, param=self.param, retry_after_s=self.retry_after)
