"""A team's agent keys: made, listed, rotated and ended by its admins, and by keys that may, within what they have."""

import pytest

from nightshift.base.errors import Unauthorized
from nightshift.database.queries import database
from nightshift.tenants import team_keys
from nightshift.tenants.auth import authenticate
from nightshift.testing.rows import make_team
from tests.support.api_world import Api
from tests.support.fixtures import JWT_SECRET
from tests.support.two_sessions import Act
from tests.support.world import AUTHOR, token

NOT_THERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def team(cloud, owner):
    return make_team(owner)


@pytest.fixture
def api(team):
    return Api(f"Bearer {token(team.users['admin'], JWT_SECRET)}")


@pytest.fixture
def at(team):
    return f"/v1/teams/{team.id}/keys"


@pytest.fixture
def make(api, at):
    def make(name="CI", **fields):
        status, answer = api("POST", at, {"name": name} | fields)
        assert status == 201, answer
        return answer["key"]

    return make


def client(made):
    return Api(f"Bearer {made['secret']}")


def entries(owner):
    rows = owner.run_script("SELECT action, actor, subject_id, details FROM job_audit_entries ORDER BY occurred_at")
    return [(action, actor, subject, details) for action, actor, subject, details in rows]


def days_left(owner, key_id):
    [[days]] = owner.run_script(
        "SELECT round(extract(epoch FROM expires_at - clock_timestamp()) / 86400)::int"
        f" FROM api_keys WHERE id = '{key_id}'"
    )
    return days


def rows(api, at):
    return {row["id"]: row for row in api("GET", at)[1]["keys"]}


class TestMaking:
    def test_a_key_is_shown_once_and_works(self, api, at, make, team, owner):
        made = make("CI")
        assert made["secret"].startswith(made["key_prefix"])
        assert made["permissions"] == ["jobs:read", "jobs:write"]
        assert made["made_by"] == f"user:{team.users['admin']}"
        assert days_left(owner, made["id"]) == 90
        assert client(made)("GET", "/v1/auth/whoami")[1]["team"]["id"] == team.id
        listed = api.send("GET", at)["body"]
        assert made["id"] in listed
        assert made["secret"] not in listed
        [[action, actor, subject, details]] = entries(owner)
        assert (action, actor, subject) == ("agent_key.created", made["made_by"], made["id"])
        assert details["name"] == "CI"
        assert made["secret"] not in str(details)

    def test_an_expiry_is_chosen_and_so_is_none(self, make, owner):
        assert days_left(owner, make(expires_in_days=1)["id"]) == 1
        assert days_left(owner, make(expires_in_days=2.0)["id"]) == 2
        assert make(never_expires=True)["expires_at"] is None

    def test_its_maker_gets_the_mails_of_its_runs(self, make, team, owner):
        made = make()
        assert owner.run_script(f"SELECT created_by::text FROM api_keys WHERE id = '{made['id']}'") == [
            [team.users["admin"]]
        ]

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"name": ""}, "name must have at least 1 character, got \"\""),
            ({"name": " "}, "name must have at least 1 character, got \" \""),
            ({"permissions": ["root"]}, "permissions must be among jobs:read, jobs:write, audit:read,"
             " integrations:write, alerts:write, keys:write, got \"root\""),
            ({"expires_in_days": 0}, "expires_in_days must be 1 or more, got 0"),
            ({"expires_in_days": 3651}, "expires_in_days must be 3650 or less, got 3651"),
            ({"expires_in_days": 5, "never_expires": True},
             "A key either expires or not: give expires_in_days or never_expires"),
        ],
    )  # fmt: skip
    def test_bad_input_makes_nothing(self, api, at, owner, fields, error):
        assert api("POST", at, {"name": "CI"} | fields) == (400, {"error": error})
        assert entries(owner) == []

    def test_a_team_has_so_many_working_keys(self, api, at, make, monkeypatch):
        monkeypatch.setattr(team_keys, "MOST_KEYS", 3)  # with the key that every team begins with
        first, _ = make(), make()
        assert api("POST", at, {"name": "x"}) == (
            409, {"error": "This team has 3 working keys, which is the limit. End one first"},
        )  # fmt: skip
        api("DELETE", f"{at}/{first['id']}")
        make()


class TestEnding:
    def test_it_stops_at_once_and_is_told_once(self, api, at, make, owner):
        made = make()
        for _ in range(2):
            assert api("DELETE", f"{at}/{made['id']}") == (200, {"deleted": True})
        assert client(made)("GET", "/v1/auth/whoami") == (401, {"error": "Invalid API key"})
        assert made["id"] not in rows(api, at)
        assert [entry[0] for entry in entries(owner)] == ["agent_key.created", "agent_key.ended"]

    @pytest.mark.parametrize("verb", ["DELETE", "POST"])
    def test_foreign_and_unknown_keys_and_keys_of_apps_look_the_same(self, api, at, owner, verb):
        other = make_team(owner, slug="others")
        [[foreign]] = owner.run_script(f"SELECT id::text FROM api_keys WHERE team_id = '{other.id}'")
        [[of_app]] = owner.run_script(
            "INSERT INTO api_keys (team_id, key_type, key_hash, key_prefix) SELECT id, 'client', sha256('x'), 'x'"
            " FROM teams WHERE slug = 'owls' RETURNING id::text"
        )
        for key_id in (foreign, of_app, NOT_THERE):
            path = f"{at}/{key_id}" + ("/rotate" if verb == "POST" else "")
            assert api(verb, path) == (404, {"error": "Key not found"})
        assert owner.run_script("SELECT count(*) FROM api_keys WHERE deleted_at IS NOT NULL") == [[0]]


class TestRotating:
    def test_the_new_key_is_as_the_old_one_which_ends(self, api, at, make, owner):
        old = make("CI", permissions=["jobs:read"], expires_in_days=30)
        status, answer = api("POST", f"{at}/{old['id']}/rotate")
        new = answer["key"]
        assert status == 201
        assert new["id"] != old["id"]
        assert new["secret"] != old["secret"]
        assert (new["name"], new["permissions"], days_left(owner, new["id"])) == ("CI", ["jobs:read"], 30)
        assert client(old)("GET", "/v1/auth/whoami")[0] == 401
        assert client(new)("GET", "/v1/auth/whoami")[0] == 200
        assert api("POST", f"{at}/{old['id']}/rotate") == (409, {"error": "This key has ended. Make a new one"})
        told = entries(owner)
        assert [entry[0].partition(".")[2] for entry in told] == ["created", "created", "rotated"]
        assert told[1][3]["replaces"] == old["key_prefix"]

    def test_with_a_grace_the_old_one_works_for_some_days_and_is_not_rotated_again(self, api, at, make, owner):
        old = make(never_expires=True)
        new = api("POST", f"{at}/{old['id']}/rotate", {"grace_days": 3.0})[1]["key"]
        assert new["expires_at"] is None
        assert client(old)("GET", "/v1/auth/whoami")[0] == 200
        assert days_left(owner, old["id"]) == 3
        assert rows(api, at)[old["id"]]["replaced_by"] == new["id"]
        status, refused = api("POST", f"{at}/{old['id']}/rotate", {"grace_days": 7})
        assert (status, refused["replaced_by"]) == (409, new["id"])
        assert days_left(owner, old["id"]) == 3

    def test_a_grace_is_no_extension(self, api, at, make, owner):
        old = make(expires_in_days=2)
        api("POST", f"{at}/{old['id']}/rotate", {"grace_days": 7})
        assert days_left(owner, old["id"]) == 2

    def test_a_grace_has_a_limit(self, api, at, make):
        refused = api("POST", f"{at}/{make()['id']}/rotate", {"grace_days": 8})
        assert refused == (400, {"error": "grace_days must be 7 or less, got 8"})

    def test_a_grace_needs_a_place_for_one_more_working_key(self, api, at, make, monkeypatch):
        monkeypatch.setattr(team_keys, "MOST_KEYS", 3)  # with the key that every team begins with
        first = make()
        second = api("POST", f"{at}/{first['id']}/rotate", {"grace_days": 7})[1]["key"]
        assert api("POST", f"{at}/{second['id']}/rotate", {"grace_days": 7}) == (
            409, {"error": "This team has 3 working keys, which is the limit. End one first"},
        )  # fmt: skip
        assert client(second)("GET", "/v1/auth/whoami")[0] == 200
        assert api("POST", f"{at}/{second['id']}/rotate")[0] == 201

    def test_two_at_once_make_one(self, meet, cloud, team, make, owner):
        old = make()
        who = authenticate(f"Bearer {token(team.users['admin'], JWT_SECRET)}", db=owner, settings=cloud)
        act = Act(
            lambda db: team_keys.rotate(team.id, old["id"], grace_days=0, who=who, author=AUTHOR, db=db),
            at="lock_keys_of_team",
        )
        met = meet(act, act)
        assert met.waited
        assert str(met.other) == "This key has ended. Make a new one"
        assert owner.run_script("SELECT count(*) FROM api_keys WHERE name = 'CI' AND deleted_at IS NULL") == [[1]]


class TestAKeyThatMakesKeys:
    """It cannot gain a right or a day, nor take from a key that has more than itself."""

    @pytest.fixture
    def keeper(self, make):
        return make("keeper", permissions=["keys:write", "jobs:read"], expires_in_days=10)

    def test_it_makes_keys_of_what_it_has_which_end_with_it(self, keeper, at, team, owner):
        status, answer = client(keeper)("POST", at, {"name": "child", "permissions": ["jobs:read"]})
        child = answer["key"]
        assert (status, child["made_by"]) == (201, f"api_key:{keeper['id']}")
        assert child["expires_at"] == keeper["expires_at"]
        assert owner.run_script(f"SELECT created_by::text FROM api_keys WHERE id = '{child['id']}'") == [
            [team.users["admin"]]
        ]

    @pytest.mark.parametrize("permissions", [None, ["jobs:write"], ["jobs:read", "integrations:write"]])
    def test_it_cannot_give_what_it_lacks(self, keeper, at, permissions, owner):
        body = {"name": "x"} | ({"permissions": permissions} if permissions else {})
        status, answer = client(keeper)("POST", at, body)
        assert status == 403
        assert answer["error"].startswith("Missing permission: ")
        assert len(entries(owner)) == 1

    @pytest.mark.parametrize("life", [{"expires_in_days": 11}, {"never_expires": True}])
    def test_it_cannot_make_a_key_that_outlives_it(self, keeper, at, life):
        status, answer = client(keeper)("POST", at, {"name": "x", "permissions": ["jobs:read"]} | life)
        assert status == 400
        assert answer["error"].startswith("expires_in_days must not go beyond the expiry of the key that makes it, ")

    def test_a_rotated_key_does_not_outlive_it_either(self, keeper, at, make, owner):
        old = make(permissions=["jobs:read"], never_expires=True)
        new = client(keeper)("POST", f"{at}/{old['id']}/rotate")[1]["key"]
        assert new["expires_at"] == keeper["expires_at"]

    @pytest.mark.parametrize("verb", ["DELETE", "POST"])
    def test_it_cannot_take_a_key_that_has_more(self, keeper, at, make, verb):
        richer = make(permissions=["jobs:read", "jobs:write"])
        path = f"{at}/{richer['id']}" + ("/rotate" if verb == "POST" else "")
        status, answer = client(keeper)(verb, path)
        assert status == 403
        assert answer["error"].startswith("Missing permission: jobs:write.")
        assert client(richer)("GET", "/v1/auth/whoami")[0] == 200

    @pytest.mark.parametrize(("verb", "word"), [("DELETE", "end"), ("POST", "rotate")])
    def test_it_neither_ends_nor_rotates_itself(self, keeper, at, verb, word):
        path = f"{at}/{keeper['id']}" + ("/rotate" if verb == "POST" else "")
        status, answer = client(keeper)(verb, path)
        assert (status, answer["error"]) == (
            400, f"A key cannot {word} itself. Sign in as an admin of the team, or use another key",
        )  # fmt: skip
        assert client(keeper)("GET", "/v1/auth/whoami")[0] == 200

    @pytest.mark.parametrize("verb", ["GET", "POST"])
    def test_keys_without_the_permission_cannot_even_look(self, make, at, verb):
        plain = make(permissions=["jobs:read", "jobs:write", "audit:read", "integrations:write"])
        assert client(plain)(verb, at, {"name": "x"} if verb == "POST" else None) == (
            403, {"error": "Missing permission: keys:write"},
        )  # fmt: skip

    def test_one_that_is_ended_meanwhile_makes_none(self, meet, cloud, team, keeper, owner):
        admin = authenticate(f"Bearer {token(team.users['admin'], JWT_SECRET)}", db=owner, settings=cloud)
        key = authenticate(f"Bearer {keeper['secret']}", db=owner, settings=cloud)
        ends = Act(
            lambda db: team_keys.end(team.id, keeper["id"], who=admin, author=AUTHOR, db=db), at="lock_keys_of_team"
        )
        makes = Act(
            lambda db: team_keys.make(
                team.id, name="x", permissions=["jobs:read"], days=1, is_default=True, who=key, author=AUTHOR, db=db
            ),
            at="lock_keys_of_team",
        )
        met = meet(ends, makes)
        assert met.waited
        assert isinstance(met.other, Unauthorized)
        assert owner.run_script("SELECT count(*) FROM api_keys WHERE name = 'x'") == [[0]]


class TestUse:
    def test_a_use_is_noted_once_an_hour(self, api, at, make, owner):
        made = make()
        assert rows(api, at)[made["id"]]["last_used_at"] is None
        costs = []
        for _ in range(3):
            before = database().statements
            client(made)("GET", "/v1/auth/whoami")
            costs.append(database().statements - before)
        assert costs == [2, 1, 1]
        assert rows(api, at)[made["id"]]["last_used_at"]
        owner.run_script("UPDATE job_agent_keys SET last_used_at = last_used_at - interval '61 minutes'")
        before = database().statements
        client(made)("GET", "/v1/auth/whoami")
        assert database().statements - before == 2

    def test_of_two_requests_at_once_one_writes(self, meet, make, owner):
        made = make()
        act = Act(lambda db: db.query("note_key_use", key_id=made["id"]), "note_key_use")
        assert meet(act, act).waited
        # The second version of the table's first row: it was written once after it was made.
        assert owner.run_script("SELECT ctid::text FROM job_agent_keys") == [["(0,2)"]]

    def test_a_request_passes_although_its_use_cannot_be_noted(self, make, owner):
        made = make()
        owner.run_script(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';"
            "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON job_agent_keys FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        assert client(made)("GET", "/v1/auth/whoami")[0] == 200

    def test_a_key_of_the_platform_is_listed_without_a_maker(self, api, at, team, owner):
        owner.run_script("UPDATE api_keys SET created_by = NULL, expires_at = 'infinity', created_at = '-infinity'")
        [row] = rows(api, at).values()
        assert (row["made_by"], row["maker_has_left"], row["expires_at"]) == (None, False, None)

    def test_a_key_goes_on_when_its_maker_leaves_and_says_so(self, api, at, make, team, owner):
        made = Api(f"Bearer {token(team.users['owner'], JWT_SECRET)}")("POST", at, {"name": "x"})[1]["key"]
        assert not rows(api, at)[made["id"]]["maker_has_left"]
        owner.run_script(f"DELETE FROM team_members WHERE user_id = '{team.users['owner']}'")
        assert rows(api, at)[made["id"]]["maker_has_left"]
        assert client(made)("GET", "/v1/auth/whoami")[0] == 200
