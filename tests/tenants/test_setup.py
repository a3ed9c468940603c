"""The first rows of a team: all of them or none, and each key works."""

import re

import pytest

from nightshift.base.errors import Forbidden, SetupRefused, Unauthorized
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.tenants.agent_keys import end_key, live_keys, make_key, new_agent_key
from nightshift.tenants.auth import authenticate
from nightshift.tenants.team_setup import TeamSetup, add_project, find_project, set_member, setup_team
from tests.support.world import AUTHOR


def acme(owner: Database, **changes: str) -> TeamSetup:
    fields = {"team_name": " Acme Games ", "admin_email": "ada@example.com", "project_name": "Space Rocks!"}
    return setup_team(owner, author=AUTHOR, **(fields | changes))


def test_the_agent_key_opens_the_team_and_its_owner_owns_it(owner: Database, db: Database, config: Settings) -> None:
    made = acme(owner)
    who = authenticate(f"Bearer {made.agent_key}", db=db, settings=config)
    assert (who.teams[made.team_id].slug, who.permissions) == ("acme-games", ("jobs:read", "jobs:write"))
    [row] = db.query("find_user", user_id=made.admin_id)
    assert (str(row["team_id"]), row["role"], row["email"]) == (made.team_id, "owner", "ada@example.com")
    [project] = db.query("list_projects", team_ids=[made.team_id], q=None, after_name=None, after_id=None, limit=10)
    assert (str(project["id"]), project["slug"]) == (made.project_id, "space-rocks")
    assert made.agent_key not in repr(made)


def test_a_person_is_known_by_the_address_without_the_name_beside_it(owner: Database) -> None:
    made = acme(owner, admin_email="Ada L. <ada@example.com>")
    assert owner.run_script("SELECT email FROM users") == [["ada@example.com"]]
    assert (
        set_member(owner, author=AUTHOR, team_slug=made.team_slug, email="Ada <ADA@example.com> ", role="owner")
        == made.admin_id
    )


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Ärzte & Söhne", "arzte-sohne"),
        ("A\u0308rzte & So\u0308hne", "arzte-sohne"),
        ("Łódź Straße Ørsted™", "lodz-strasse-orstedtm"),
        ("\uff26\uff55\uff4c\uff4c \u2460", "full-1"),
        ("日本アプリ", "team-66b80ef2"),
        ("مشروع", "team-4a2b9a3f"),
        ("हिन्दी", "team-9ddb12af"),
        ("👨‍👩‍👧‍👦", "team-32b7d42d"),
        ("日本 App", "app"),
        ("x" * 200, "x" * 60),
        ("x" * 59 + " y", "x" * 59),
    ],
)
def test_a_name_of_any_script_has_a_slug(owner: Database, name: str, slug: str) -> None:
    made = acme(owner, team_name=name)
    assert made.team_slug == slug
    assert owner.run_script("SELECT name FROM teams") == [[name]]
    with pytest.raises(SetupRefused, match=f'A team "{slug}" already exists. Choose another name or slug'):
        acme(owner, team_name=name)
    assert acme(owner, team_name=name, team_slug="nihon-2", project_slug="p").team_slug == "nihon-2"
    assert find_project(owner, team_slug="nihon-2", project_slug="p")
    added = add_project(owner, author=AUTHOR, team_slug="nihon-2", project_name="日本アプリ")
    assert added["project_slug"] == "project-66b80ef2"
    assert add_project(owner, author=AUTHOR, team_slug="nihon-2", project_name="日本アプリ", project_slug="nihon")


def test_a_name_keeps_what_can_be_seen_of_it(owner: Database) -> None:
    acme(owner, team_name="می‌خواهم \u202eevil\x00\n👩‍💻")
    assert owner.run_script("SELECT name FROM teams") == [["می‌خواهم evil 👩‍💻"]]


@pytest.mark.parametrize("slug", ["Acme", "a--b", "-a", "a-", "ä", "", "a b", "x" * 61, "a\n"])
def test_a_slug_can_be_typed_on_every_keyboard(owner: Database, slug: str) -> None:
    for name in ("team_slug", "project_slug"):
        with pytest.raises(SetupRefused, match=f"{name} must consist of a-z, 0-9 and single hyphens"):
            acme(owner, **{name: slug})


def test_a_person_may_own_two_teams(owner: Database) -> None:
    first, second = acme(owner), acme(owner, team_name="Other", admin_email="ADA@example.com")
    assert first.admin_id == second.admin_id
    assert first.team_id != second.team_id


def test_a_team_that_is_there_is_left_as_it_is(owner: Database) -> None:
    acme(owner)
    with pytest.raises(SetupRefused, match='A team "acme-games" already exists'):
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
    ("field", "value"),
    [
        ("team_name", " - "),
        ("team_name", "\u200b"),
        ("team_name", "…—+"),
        ("project_name", ""),
        ("admin_email", "ada"),
        ("admin_email", "a b@c"),
    ],
)
def test_a_field_that_will_not_do_is_named(owner: Database, field: str, value: str) -> None:
    with pytest.raises(SetupRefused, match=f"{field} must .*, got {re.escape(repr(value))}"):
        acme(owner, **{field: value})


def test_keys_are_never_the_same(owner: Database, db: Database, config: Settings) -> None:
    made = acme(owner)
    second = new_agent_key(owner, author=AUTHOR, team_id=made.team_id, created_by=made.admin_id).key
    assert second != made.agent_key
    assert {authenticate(f"Bearer {key}", db=db, settings=config).kind for key in (second, made.agent_key)} == {
        "api_key"
    }


def test_a_project_is_found_by_its_slugs(owner: Database) -> None:
    made = acme(owner)
    assert find_project(owner, team_slug="acme-games", project_slug="space-rocks") == (made.team_id, made.project_id)
    with pytest.raises(SetupRefused, match='Unknown project "rocks" in the team "acme-games"'):
        find_project(owner, team_slug="acme-games", project_slug="rocks")


def test_a_key_takes_the_place_of_another_at_once(owner: Database, db: Database, config: Settings) -> None:
    made = acme(owner)
    other = acme(owner, team_name="Other")
    second = make_key(owner, author=AUTHOR, team_slug="acme-games")
    third = make_key(owner, author=AUTHOR, team_slug="acme-games", ends=made.agent_key)
    for key in (second, third, other.agent_key):
        assert authenticate(f"Bearer {key}", db=db, settings=config).kind == "api_key"
    with pytest.raises(Unauthorized, match="Invalid API key"):
        authenticate(f"Bearer {made.agent_key}", db=db, settings=config)
    assert owner.run_script("SELECT count(DISTINCT created_by) FROM api_keys") == [[1]]


def test_a_key_that_is_not_there_is_not_replaced(owner: Database) -> None:
    made, other = acme(owner), acme(owner, team_name="Other")
    with pytest.raises(SetupRefused, match='The team "acme-games" has no agent key that begins with "owl_agent_'):
        make_key(owner, author=AUTHOR, team_slug=made.team_slug, ends=other.agent_key)
    with pytest.raises(SetupRefused, match='Unknown team "acme"'):
        make_key(owner, author=AUTHOR, team_slug="acme")
    assert owner.run_script("SELECT count(*), count(deleted_at) FROM api_keys") == [[2, 0]]


def test_a_key_is_made_for_a_purpose_and_ended(owner: Database, db: Database, config: Settings) -> None:
    made = acme(owner)
    key = make_key(owner, author=AUTHOR, team_slug="acme-games", name="CI", read_only=True, days=90)
    who = authenticate(f"Bearer {key}", db=db, settings=config)
    with pytest.raises(Forbidden, match="jobs:write"):
        who.require(made.team_id, "jobs:write")
    first, second = live_keys(owner, team_slug="acme-games")
    assert (first["key_prefix"], first["name"], first["expires_at"]) == (made.agent_key[:14], "Agent key", None)
    assert (second["name"], second["permissions"], second["acts_for"]) == ("CI", ["jobs:read"], "ada@example.com")
    assert (second["expires_at"] - second["created_at"]).days == 90
    owner.run_script("UPDATE api_keys SET expires_at = created_at WHERE name = 'CI'")
    with pytest.raises(Unauthorized, match="API key expired"):
        authenticate(f"Bearer {key}", db=db, settings=config)
    assert len(live_keys(owner, team_slug="acme-games")) == 1
    again = make_key(owner, author=AUTHOR, team_slug="acme-games", ends=key, days=7)
    [_, third] = live_keys(owner, team_slug="acme-games")
    assert (third["key_prefix"], third["name"], third["permissions"]) == (again[:14], "CI", ["jobs:read"])
    assert (third["expires_at"] - third["created_at"]).days == 7
    owner.run_script("UPDATE api_keys SET expires_at = 'infinity' WHERE expires_at IS NULL")
    assert live_keys(owner, team_slug="ACME-Games")[0]["expires_at"] is None
    end_key(owner, author=AUTHOR, team_slug="acme-games", prefix=made.agent_key)
    assert [row["name"] for row in live_keys(owner, team_slug="acme-games")] == ["CI"]
    with pytest.raises(SetupRefused, match="has no agent key that begins with"):
        end_key(owner, author=AUTHOR, team_slug="acme-games", prefix=made.agent_key)


def test_a_team_grows_by_a_project_and_by_people(owner: Database, db: Database) -> None:
    made = acme(owner)
    project = add_project(owner, author=AUTHOR, team_slug="acme-games", project_name="Space Rocks 2")
    assert find_project(owner, team_slug="acme-games", project_slug="space-rocks-2")[1] == project["project_id"]
    with pytest.raises(SetupRefused, match='The team "acme-games" already has a project "space-rocks"'):
        add_project(owner, author=AUTHOR, team_slug="acme-games", project_name="Space: rocks")

    grace = set_member(owner, author=AUTHOR, team_slug="acme-games", email="grace@example.com", role="member")
    assert set_member(owner, author=AUTHOR, team_slug="acme-games", email="GRACE@example.com", role="admin") == grace
    assert [(str(row["team_id"]), row["role"]) for row in db.query("find_user", user_id=grace)] == [
        (made.team_id, "admin")
    ]
    assert set_member(owner, author=AUTHOR, team_slug="acme-games", email="grace@example.com", role=None) == grace
    assert set_member(owner, author=AUTHOR, team_slug="acme-games", email="grace@example.com", role=None) is None


@pytest.mark.parametrize("role", ["admin", None])
def test_the_last_owner_stays(owner: Database, db: Database, role: str | None) -> None:
    made = acme(owner)
    with pytest.raises(SetupRefused, match='The team "acme-games" would be left without an owner'):
        set_member(owner, author=AUTHOR, team_slug="acme-games", email="ada@example.com", role=role)
    assert [row["role"] for row in db.query("find_user", user_id=made.admin_id)] == ["owner"]
    set_member(owner, author=AUTHOR, team_slug="acme-games", email="grace@example.com", role="owner")
    assert set_member(owner, author=AUTHOR, team_slug="acme-games", email="ada@example.com", role=role) == made.admin_id
