"""A database that answers but refuses writes, like a standby or a server after a failover."""

import pytest

from api import database_probe
from nightshift.database.queries import database
from nightshift.operator import doctor, health
from nightshift.testing.rows import make_team, run_row, sweep, work
from tests.api.test_api import Api, error, trigger
from tests.support.fixtures import TESTS
from tests.support.operator_world import answer
from tests.support.world import store_keys

SENTENCE = "The database is read-only at the moment. Try again in a moment."
ONLY_READS = "SET default_transaction_read_only = on"


@pytest.fixture
def team(owner):
    team = make_team(owner)
    store_keys(owner)
    return team


@pytest.fixture
def api(cloud, team):
    return Api(f"Bearer {team.agent_key}")


@pytest.fixture
def standby(owner, db, config):
    """Make the whole database read-only for our roles, permanently."""

    def standby():
        for role in (TESTS, "nightshift_maintenance"):
            setting = "SET default_transaction_read_only = on"
            owner.run_script(f"ALTER ROLE {role} IN DATABASE {config.database_name} {setting}")
        db.close()
        database().close()

    return standby


class TestASessionThatOnlyReads:
    @pytest.fixture(autouse=True)
    def spoiled(self, api):
        assert api("GET", "/v1/health")[0] == 200
        database().run_script(ONLY_READS)

    def test_a_trigger_finds_another(self, api, team):
        assert trigger(api, team)[0] == 201

    def test_health_finds_another(self, api, team):
        database_probe._trouble_at.cache_clear()  # It asks once a second.
        assert api("GET", "/v1/health")[0] == 200
        assert database().run_script("SHOW default_transaction_read_only") == [["off"]]

    def test_so_does_a_run(self, api, team, db, cloud, owner):
        run_id = trigger(api, team)[1]["job_run"]["id"]
        db.run_script(ONLY_READS)
        work(run_id, 0, db=db, settings=cloud)
        assert run_row(owner, run_id)["status"] == "failed"  # for its own reason: its key cannot be decrypted

    def test_and_the_sweep(self, api, team, db, cloud, owner):
        trigger(api, team)
        owner.run_script("UPDATE job_runs SET resend_at = now()")
        db.run_script(ONLY_READS)
        assert sweep(db=db, settings=cloud)["resent"] == 1


class TestADatabaseThatOnlyReads:
    def test_the_api_says_so(self, api, team, standby):
        standby()
        assert api("GET", "/v1/health") == error(503, SENTENCE)
        assert trigger(api, team) == error(503, SENTENCE)
        assert api("GET", f"/v1/teams/{team.id}/jobs")[0] == 200

    @pytest.mark.parametrize("command", [health.check_health, doctor.examine])
    def test_so_do_health_and_doctor(self, cloud, db, standby, command):
        def line():
            checks = command(db=db, settings=cloud)["checks"]
            return next(check for check in checks if check["name"] == "database")

        assert line()["ok"]
        standby()
        assert not line()["ok"]
        assert "The database is read-only at the moment" in line()["says"]
        assert "failover" in line()["do"]

    def test_an_operator_who_wants_a_run_is_told(self, cloud, db, standby):
        standby()
        said = answer({"command": "trigger", "job_type": "db_pruning"}, db=db, settings=cloud)["error"]
        assert said.startswith("The database can only be read at the moment: cannot execute ")
        assert "During a failover, wait until it ends." in said
