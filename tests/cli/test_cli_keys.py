"""nightshift keys: an agent key is shown once, and named by its first characters."""

from typing import Any

import pytest

from tests.support.cli_world import ADA, RUN, TEAM, Nightshift, Script

PATH = f"/v1/teams/{TEAM}/keys"
SECRET = "owl_agent_x7QzAndAllTheRestOfIt"


def key(**fields: Any) -> dict[str, Any]:
    return {
        "id": RUN,
        "name": "CI",
        "key_prefix": "owl_agent_x7Qz",
        "permissions": ["jobs:read", "jobs:write"],
        "made_by": f"user:{ADA['id']}",
        "maker_has_left": False,
        "created_at": "2026-11-01T03:00:00.000Z",
        "expires_at": "2027-01-30T03:00:00.000Z",
        "expired": False,
        "last_used_at": "2026-11-27T02:00:00.000Z",
        "replaced_by": None,
    } | fields


@pytest.fixture(autouse=True)
def known(api: Script) -> None:
    api.on(f"GET {PATH}", {"keys": [key()], "permissions": ["jobs:read"]})
    api.on(f"GET /v1/teams/{TEAM}/members", {"members": [ADA], "api_keys": []})


def test_list_shows_each_key_without_the_key(api: Script, nightshift: Nightshift) -> None:
    keys = [
        key(),
        key(made_by="operator", expires_at=None, last_used_at=None),
        key(maker_has_left=True, expired=True),
        key(replaced_by=RUN),
    ]
    api.on(f"GET {PATH}", {"keys": keys, "permissions": [], "has_more": True})
    lines = nightshift("keys", "list").output.splitlines()
    assert lines[1].split()[-3:] == ["2027-01-30", "2026-11-27", "02:00"]
    assert "the operator" in lines[2]
    assert "never" in lines[2]
    assert lines[2].endswith("not yet")
    assert "(has left)" in lines[3]
    assert "expired 2027-01-30" in lines[3]
    assert "2027-01-30 (replaced)" in lines[4]
    assert lines[5] == "There are more keys. End those that are not in use."


def test_an_empty_list_says_how_to_make_one(api: Script, nightshift: Nightshift) -> None:
    api.on(f"GET {PATH}", {"keys": [], "permissions": []})
    assert nightshift("keys", "list").output == "No agent keys. Make one: nightshift keys create NAME\n"


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ((), {"name": "CI"}),
        (("--days", "7", "--allow", "jobs:read"), {"name": "CI", "permissions": ["jobs:read"], "expires_in_days": 7}),
        (("--never",), {"name": "CI", "never_expires": True}),
    ],
)
def test_a_key_is_made_and_shown_once(
    api: Script, nightshift: Nightshift, options: tuple[str, ...], body: dict[str, Any]
) -> None:
    api.on(f"POST {PATH}", (201, {"key": key(secret=SECRET)}))
    result = nightshift("keys", "create", "CI", *options)
    assert SECRET in result.output
    assert "Save the agent key now: it cannot be shown again." in result.output
    [(_, _, _, sent)] = api.asked(f"POST {PATH}")
    assert sent == body


def test_a_refused_key_is_not_made_again(api: Script, nightshift: Nightshift) -> None:
    api.on(f"POST {PATH}", (503, {"error": "The database is busy"}))
    assert nightshift("keys", "create", "CI").exit_code == 5
    assert len(api.asked(f"POST {PATH}")) == 1


def test_an_expiry_and_none_is_refused_before_a_request(api: Script, nightshift: Nightshift) -> None:
    result = nightshift("keys", "create", "CI", "--days", "3", "--never")
    assert "Give either --days or --never." in result.stderr
    assert api.asked(f"POST {PATH}") == []


@pytest.mark.parametrize("named", ["owl_agent_x7Qz", SECRET, RUN])
def test_a_key_is_named_by_its_beginning_or_its_id(api: Script, nightshift: Nightshift, named: str) -> None:
    api.on(f"DELETE {PATH}/{RUN}", {"deleted": True})
    assert nightshift("keys", "end", named).output == "Ended the key.\n"
    assert not any(SECRET in path for path, *_ in api.asked(f"DELETE {PATH}/{RUN}"))


def test_a_beginning_that_no_key_or_several_have_is_refused(api: Script, nightshift: Nightshift) -> None:
    assert "No key of this team begins with owl_agent_nope." in nightshift("keys", "end", "owl_agent_nope").stderr
    api.on(f"GET {PATH}", {"keys": [key(), key(id=ADA["id"])], "permissions": []})
    result = nightshift("keys", "end", "owl_agent_x7Qz")
    assert f"Several keys begin with owl_agent_x7Qz. Give the id of one: {RUN}, {ADA['id']}." in result.stderr


def test_rotate_shows_the_new_key(api: Script, nightshift: Nightshift) -> None:
    api.on(f"POST {PATH}/{RUN}/rotate", (201, {"key": key(secret=SECRET)}))
    assert SECRET in nightshift("keys", "rotate", RUN, "--grace", "2").output
    [(_, _, _, sent)] = api.asked(f"POST {PATH}/{RUN}/rotate")
    assert sent == {"grace_days": 2}
