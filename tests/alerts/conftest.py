"""Fixtures of the alerts' tests."""

import pytest

from nightshift.testing.rows import make_team
from tests.alerts.alert_world import World, endpoint
from tests.support.world import store_keys


@pytest.fixture
def team(owner):
    team = make_team(owner, projects=2)
    store_keys(owner)
    return team


@pytest.fixture
def here():
    with endpoint() as here:
        yield here


@pytest.fixture
def world(db, owner, cloud, team, here):
    return World(db, owner, cloud, team, here)
