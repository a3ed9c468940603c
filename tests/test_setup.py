"""The first things of a team: all of it or nothing, and the key of each works."""

import pytest

from nightshift.auth import authenticate
from nightshift.database import Database
from nightshift.errors import Unauthorized
from nightshift.settings import Settings
from nightshift.setup import SetupRefused, TeamSetup, find_project, new_agent_key, replace_agent_key, setup_team


def acme(owner: Database, **changes: str) -> TeamSetup:
    fields = {"team_name": " Acme Games ", "admin_email": "ada@example.com", "project_name": "Space Rocks!"}
    return setup_team(owner, **(fields | changes))


def test_the_agent_key_opens_the_team_and_its_owner_owns_it(owner: Database, db: Database, config: Settings) -> None:
    made = acme(owner)
    who = authenticate(f"Bearer {made.agent_key}", db=db, settings=config)
    assert (who.teams[made.team_id].slug, who.permissions) == ("acme-games", ("jobs:read", "jobs:write"))
    [row] = db.query("find_user", user_id=made.admin_id)
    assert (str(row["team_id"]), row["role"], row["email"]) == (made.team_id, "owner", "ada@example.com")
    [project] = db.query("list_projects", team_ids=[made.team_id])
    assert (str(project["id"]), project["slug"]) == (made.project_id, "space-rocks")
    assert made.agent_key not in repr(made)


def test_a_person_may_own_two_teams(owner: Database) -> None:
    first, second = acme(owner), acme(owner, team_name="Other", admin_email="ADA@example.com")
    assert first.admin_id == second.admin_id
    assert first.team_id != second.team_id


def test_a_team_that_is_there_is_left_as_it_is(owner: Database) -> None:
    acme(owner)
    with pytest.raises(SetupRefused, match='There is a team "acme-games" already'):
        acme(owner, admin_email="eve@example.com", team_name="ACME: games")
    assert owner.run_script("SELECT count(*) FROM teams") == [[1]]
    assert owner.run_script("SELECT count(*) FROM users") == [[1]]


def test_what_fails_late_leaves_nothing(owner: Database) -> None:
    owner.run_script("ALTER TABLE api_keys ADD CONSTRAINT none CHECK (false)")
    with pytest.raises(Exception, match="none"):
        acme(owner)
    assert owner.run_script("SELECT count(*) FROM teams") == [[0]]
    assert owner.run_script("SELECT count(*) FROM users") == [[0]]


@pytest.mark.parametrize(
    ("field", "value"), [("team_name", " - "), ("project_name", ""), ("admin_email", "ada"), ("admin_email", "a b@c")]
)
def test_a_field_that_will_not_do_is_named(owner: Database, field: str, value: str) -> None:
    with pytest.raises(SetupRefused, match=f"{field} must .*, got '{value}'"):
        acme(owner, **{field: value})


def test_keys_are_never_the_same(owner: Database, db: Database, config: Settings) -> None:
    made = acme(owner)
    second = new_agent_key(owner, team_id=made.team_id, created_by=made.admin_id)
    assert second != made.agent_key
    assert {authenticate(f"Bearer {key}", db=db, settings=config).kind for key in (second, made.agent_key)} == {
        "api_key"
    }


def test_a_project_is_found_by_its_slugs(owner: Database) -> None:
    made = acme(owner)
    assert find_project(owner, team_slug="acme-games", project_slug="space-rocks") == made.project_id
    with pytest.raises(SetupRefused, match='There is no project "rocks" in a team "acme-games"'):
        find_project(owner, team_slug="acme-games", project_slug="rocks")


def test_a_key_takes_the_place_of_another_at_once(owner: Database, db: Database, config: Settings) -> None:
    made = acme(owner)
    other = acme(owner, team_name="Other")
    second = replace_agent_key(owner, team_slug="acme-games")
    third = replace_agent_key(owner, team_slug="acme-games", ends=made.agent_key)
    for key in (second, third, other.agent_key):
        assert authenticate(f"Bearer {key}", db=db, settings=config).kind == "api_key"
    with pytest.raises(Unauthorized, match="Invalid API key"):
        authenticate(f"Bearer {made.agent_key}", db=db, settings=config)
    assert owner.run_script("SELECT count(DISTINCT created_by) FROM api_keys") == [[1]]


def test_a_key_that_is_not_there_is_not_replaced(owner: Database) -> None:
    made, other = acme(owner), acme(owner, team_name="Other")
    with pytest.raises(SetupRefused, match='The team "acme-games" has 0 agent keys that begin with "owl_agent_'):
        replace_agent_key(owner, team_slug=made.team_slug, ends=other.agent_key)
    with pytest.raises(SetupRefused, match='There is no team "acme" with an owner'):
        replace_agent_key(owner, team_slug="acme")
    assert owner.run_script("SELECT count(*), count(deleted_at) FROM api_keys") == [[2, 0]]
