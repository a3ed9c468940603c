"""Lambda's own log lines about an invocation, as JSON or as text: its start, its end, and the memory that it used.

https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
"""

import re

# Text lines which report that an invocation ended early.
TROUBLE = re.compile(r"Task timed out|Runtime exited|Runtime\.\w+|signal: killed|Status: (timeout|error)")


def told(logged: dict[str, object]) -> dict[str, object] | None:
    """Return ``level``, ``message`` and fields of a JSON line of Lambda's own; None for other lines."""
    kind, record = logged.get("type"), logged.get("record")
    if not (isinstance(kind, str) and kind.startswith("platform.") and isinstance(record, dict)):
        return None
    what = kind.removeprefix("platform.")
    line: dict[str, object] = {
        "level": "INFO",
        "message": f"Lambda: {what}",
        "function_request_id": record.get("requestId"),
    }
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
    """Return ERROR for a text line which reports that an invocation ended early, else None."""
    return "ERROR" if TROUBLE.search(text) else None
