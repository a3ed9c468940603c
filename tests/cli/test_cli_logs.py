"""nightshift jobs logs: the lines of a run, to their end."""

import json
from typing import Any

from tests.support.cli_world import RUN, Nightshift, Script

WHERE = f"GET /v1/jobs/{RUN}/logs"


def line(number: int, message: str, **fields: Any) -> dict[str, Any]:
    at = f"2026-01-02T03:04:{number:02}.000Z"
    return {"line": number, "slice": 0, "at": at, "level": "info", "message": message, "fields": {}} | fields


def page(*lines: dict[str, Any], status: str = "completed", **fields: Any) -> dict[str, Any]:
    last = lines[-1]["line"] if lines else 0
    usual = {"log_lines": [*lines], "cursor": last, "has_more": False, "left_out": 0, "logged": last}
    return usual | {"lost_slices": [], "status": status} | fields


def test_the_lines_with_their_fields(api: Script, nightshift: Nightshift) -> None:
    first = line(7, "Looked", level="warning", fields={"user": "u 1", "count": 3, "ok": True, "none": None, "e": ""})
    api.on(WHERE, page(first, line(8, "\x1b[31mred"), left_out=6, lost_slices=[2]))
    result = nightshift("jobs", "logs", RUN, "--level", "warning", "--limit", "5")
    assert result.stdout.splitlines() == [
        '2026-01-02T03:04:07.000Z WARNING Looked user="u 1" count=3 ok=true none=null e=""',
        "2026-01-02T03:04:08.000Z INFO    [31mred",
    ]
    assert result.stderr.splitlines() == [
        "6 earlier lines are no longer stored.",
        "The worker of slice 2 was lost. The last lines before that are in CloudWatch alone.",
    ]
    assert [query for _, query, _, _ in api.asked(WHERE)] == ["level=warning&limit=5"]


def test_follow_reads_on_to_the_end_and_exits_with_its_code(api: Script, nightshift: Nightshift) -> None:
    api.on(
        WHERE,
        page(line(1, "One"), status="running"),
        (503, {"error": "Down"}),
        page(line(2, "Two"), status="running", has_more=True),
        page(line(3, "Three"), status="failed"),
    )
    result = nightshift("jobs", "logs", RUN, "--follow")
    assert [said.split("    ")[-1] for said in result.stdout.splitlines()] == ["One", "Two", "Three"]
    assert [query for _, query, _, _ in api.asked(WHERE)] == [
        "limit=200", "after=1&limit=1000", "after=1&limit=1000", "after=2&limit=1000",
    ]  # fmt: skip
    assert result.exit_code == 1


def test_follow_in_json_is_one_document_with_all_lines(api: Script, nightshift: Nightshift) -> None:
    api.on(WHERE, page(line(1, "One"), status="running"), page(line(2, "Two")))
    result = nightshift("jobs", "logs", RUN, "--follow", "--format", "json")
    told = json.loads(result.stdout)
    assert [each["message"] for each in told["log_lines"]] == ["One", "Two"]
    assert (told["status"], result.exit_code) == ("completed", 0)


def test_no_lines_and_a_run_that_is_left_going(api: Script, nightshift: Nightshift) -> None:
    api.on(WHERE, page(status="running"))
    assert nightshift("jobs", "logs", RUN).stderr == "No log lines.\n"

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    result = nightshift("jobs", "logs", RUN, "--follow", sleep=interrupt)
    assert (result.exit_code, result.stderr) == (130, "Stopped watching; the run continues.\n")
