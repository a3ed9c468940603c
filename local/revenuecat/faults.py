"""Troubles on request: the next calls that match one get it instead of their answer."""

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
    """``path`` is a part the call's path must contain; ``times`` is how many calls it meets, None until it is cleared.

    Without ``status`` and ``drop_connection`` the call is answered as ever, after ``latency_s`` seconds.
    ``html`` None: 502 and 504 come as HTML, the others as JSON. ``retry_after`` is in seconds.
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
        """Raises ValueError, as a sentence, for what is not a fault."""
        for name, value in fields.items():
            if name not in FIELDS:
                raise ValueError(f"A fault has no field {name!r}. Its fields are: {', '.join(FIELDS)}.")
            if not isinstance(value, FIELDS[name]):
                raise ValueError(f"The fault's {name} cannot be {value!r}.")
        if fields.get("status", 500) not in ERROR_TYPES:
            raise ValueError(f"The fault's status must be one of {sorted(ERROR_TYPES)}, got {fields['status']}.")
        return cls(**fields)

    def matches(self, path: str) -> bool:
        return self.path in path and self.times != 0

    def reply(self) -> Reply | None:
        """None where the call is to be answered as ever."""
        if self.status is None:
            return None
        if self.html or (self.html is None and self.status in (502, 504)):
            return proxy_page(self.status)
        return error(self.status, self.message, param=self.param, retry_after_s=self.retry_after)
