"""Lambda's own lines about an invocation, as JSON or as text: when it began, how it ended, and how much memory it took.

https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
"""

import re
from typing import Any

# Lines of text that tell of an invocation's end before its time.
TROUBLE = re.compile(r"Task timed out|Runtime exited|Runtime\.\w+|signal: killed|Status: (timeout|error)")


def told(logged: dict[str, Any]) -> dict[str, Any] | None:
    """``level``, ``message`` and fields of a line of Lambda's in JSON; None for any other."""
    kind, record = logged.get("type"), logged.get("record")
    if not (isinstance(kind, str) and kind.startswith("platform.") and isinstance(record, dict)):
        return None
    what = kind.removeprefix("platform.")
    line = {"level": "INFO", "message": f"Lambda: {what}", "function_request_id": record.get("requestId")}
    if what != "report":
        return line
    status = str(record.get("status") or "success")
    why = f" ({record['errorType']})" if record.get("errorType") else ""
    line["level"] = "INFO" if status == "success" else "ERROR"
    match record.get("metrics"):
        case {"durationMs": float() | int() as took_ms, "maxMemoryUsedMB": used, "memorySizeMB": size}:
            why += f" after {took_ms / 1000:.1f} s, {used} of {size} MB used"
    return line | {"message": f"Lambda: {status}{why}"}


def level_of(text: str) -> str | None:
    """Of a line of text, where Lambda says that the invocation ended before its time."""
    return "ERROR" if TROUBLE.search(text) else None
