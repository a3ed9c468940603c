"""nightshift alerts."""

from typing import Any

import pytest

from tests.support.cli_world import PROJECT, RUN, TEAM, Nightshift, Script

ALERT, OTHER = (f"0298c0de-0000-7000-8000-{n:012d}" for n in (1, 2))
PATH = f"/v1/alerts/{ALERT}"
SLACK = "https://hooks.slack.com/services/T0/B0/very-secret"


def alert(**fields: Any) -> dict[str, Any]:
    return {
        "id": ALERT,
        "name": "Nightly",
        "channel": "webhook",
        "url": "https://hooks.example.com/x",
        "events": ["failed", "recovered"],
        "admins": False,
        "addresses": [],
        "paused": None,
        "failing": None,
        "last": {"at": "2026-11-27T02:00:00.000Z", "status": "sent"},
    } | fields


def test_list_shows_where_each_sends_and_how_it_is(api: Script, nightshift: Nightshift) -> None:
    mail = alert(
        channel="mail",
        url=None,
        admins=True,
        addresses=[{"address": "ops@else.example", "state": "waiting"}],
        failing={"since": "2026-11-27T02:00:00.000Z", "failures": 2},
    )
    paused = alert(id=OTHER, channel="slack", paused={"why": "Its endpoint is gone"}, last=None)
    api.on(f"GET /v1/teams/{TEAM}/alerts", {"alerts": [alert(), mail, paused]})
    first, second, third = nightshift("alerts", "list").output.splitlines()[1:]
    assert "failed, recovered  https://hooks.example.com/x" in first
    assert " on " in first
    assert "2026-11-27 02:00" in first
    assert "all admins, ops@else.example (not confirmed)  failing since 2026-11-27 02:00" in second
    assert "slack" in third
    assert "paused: Its endpoint is gone" in third


def test_an_empty_list_says_how_to_make_one(api: Script, nightshift: Nightshift) -> None:
    api.on(f"GET /v1/teams/{TEAM}/alerts", {"alerts": []})
    assert nightshift("alerts", "list").output == "No alerts. Make one with `nightshift alerts create`.\n"


def test_create_sends_what_was_given_and_shows_the_secret(api: Script, nightshift: Nightshift) -> None:
    api.on(f"POST /v1/teams/{TEAM}/alerts", (201, {"alert": alert(), "secret": "whsec_x", "notes": ["A note."]}))
    result = nightshift(
        *("alerts", "create", "webhook", "--on", "failed", "--on", "overdue", "--overdue-hours", "30"),
        *("--url", "https://hooks.example.com/x", "--type", "revenuecat_sync", "--project", "acme"),
        *("--minutes-between", "0"),
    )
    [(_, _, _, body)] = api.asked(f"POST /v1/teams/{TEAM}/alerts")
    assert body == {
        "channel": "webhook",
        "events": ["failed", "overdue"],
        "overdue_hours": 30,
        "url": "https://hooks.example.com/x",
        "job_types": ["revenuecat_sync"],
        "project_ids": [PROJECT],
        "minutes_between": 0,
    }
    assert result.output.splitlines() == [
        f"Alert {ALERT} to https://hooks.example.com/x: on",
        "Secret, shown this once: whsec_x",
        "A note.",
    ]


def test_the_address_of_slack_is_read_from_standard_input(api: Script, nightshift: Nightshift) -> None:
    api.on(f"POST /v1/teams/{TEAM}/alerts", (201, {"alert": alert(channel="slack"), "secret": None, "notes": []}))
    result = nightshift("alerts", "create", "slack", "--url-stdin", reads=f"{SLACK}\n")
    [(_, _, _, body)] = api.asked(f"POST /v1/teams/{TEAM}/alerts")
    assert body == {"channel": "slack", "events": ["failed"], "url": SLACK}
    assert "very-secret" not in result.output


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("edit", ALERT, "--on", "ended"), {"events": ["ended"], "overdue_hours": None}),
        (("edit", ALERT, "--all-types", "--all-projects"), {"job_types": None, "project_ids": None}),
        (("edit", ALERT, "--no-admins", "--address", "a@x.example"), {"admins": False, "addresses": ["a@x.example"]}),
        (("pause", ALERT), {"enabled": False}),
        (("resume", ALERT), {"enabled": True}),
    ],
)
def test_changes(api: Script, nightshift: Nightshift, arguments: tuple[str, ...], body: dict[str, Any]) -> None:
    api.on(f"PATCH {PATH}", {"alert": alert(), "secret": None, "notes": []})
    assert nightshift("alerts", *arguments).output.startswith(f"Alert {ALERT}")
    [(_, _, _, sent)] = api.asked(f"PATCH {PATH}")
    assert sent == body


def test_deliveries_show_the_answers(api: Script, nightshift: Nightshift) -> None:
    delivery = {"id": OTHER, "created_at": "2026-11-27T02:00:00.000Z", "kind": "failed", "status": "unsent", "tries": 3}
    delivery |= {"answer_status": 503, "run_id": RUN, "error": "It answered with HTTP 503"}
    api.on(f"GET {PATH}/deliveries", {"deliveries": [delivery]})
    row = nightshift("alerts", "deliveries", ALERT).output.splitlines()[1]
    assert row.split() == [
        OTHER,
        "2026-11-27",
        "02:00",
        "failed",
        "unsent",
        "3",
        "503",
        RUN,
        *delivery["error"].split(),
    ]


def test_rotate_prints_the_new_secret(api: Script, nightshift: Nightshift) -> None:
    api.on(f"POST {PATH}/rotate", {"secret": "whsec_y", "old_secret_until": "2026-11-28T02:00:00.000Z"})
    assert nightshift("alerts", "rotate", ALERT).output.splitlines() == [
        "Secret: whsec_y",
        "The old secret signs as well until 2026-11-28 02:00 UTC.",
    ]
