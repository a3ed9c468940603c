"""The mail a week before an agent key expires: to the admins, once for each expiry, and about working keys alone."""

import pytest

from nightshift.notify.mail_content import describe_alert
from nightshift.notify.outbox import TO_ADMINS
from nightshift.tenants.agent_keys import new_agent_key
from nightshift.testing.rows import make_team, sweep
from tests.support.two_sessions import Act
from tests.support.world import AUTHOR


@pytest.fixture
def team(cloud, owner):
    return make_team(owner)


@pytest.fixture
def key(team, owner):
    """A key with 90 days of life, at which the sweep looks next in a day."""
    made = new_agent_key(owner, author=AUTHOR, team_id=team.id, created_by=team.users["admin"], name="CI", days=90)
    owner.run_script("UPDATE job_agent_keys SET look_at = clock_timestamp() + interval '1 day'")
    return made.id


def let_pass(owner, days):
    owner.run_script(
        f"UPDATE api_keys SET expires_at = expires_at - interval '{days} days';"
        f"UPDATE job_agent_keys SET look_at = look_at - interval '{days} days',"
        f" told_of = told_of - interval '{days} days'"
    )


def mails(owner):
    return owner.run_script("SELECT recipient, content FROM job_outbox WHERE content ? 'subject' ORDER BY recipient")


def test_each_admin_gets_one_mail_a_week_before(cloud, db, owner, team, key):
    let_pass(owner, 82)
    assert sweep(db=db, settings=cloud)["expiring"] == 0
    let_pass(owner, 1)
    assert sweep(db=db, settings=cloud)["expiring"] == 1
    sent = mails(owner)
    assert [recipient for recipient, _ in sent] == ["admin@owls.example", "owner@owls.example"]
    content = describe_alert(sent[0][1])
    assert content.subject == "The agent key CI of The owls expires in a week"
    assert key in content.paragraphs[1]
    assert content.reason == TO_ADMINS
    let_pass(owner, 3)
    assert sweep(db=db, settings=cloud)["expiring"] == 0
    assert len(mails(owner)) == 2


def test_a_later_expiry_is_told_again(cloud, db, owner, key):
    let_pass(owner, 84)
    sweep(db=db, settings=cloud)
    owner.run_script("UPDATE api_keys SET expires_at = expires_at + interval '1 day'")
    let_pass(owner, 2)
    assert sweep(db=db, settings=cloud)["expiring"] == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE api_keys SET deleted_at = clock_timestamp()",
        "DELETE FROM api_keys",
        "UPDATE api_keys SET expires_at = NULL",
        "UPDATE api_keys SET expires_at = clock_timestamp() - interval '1 s'",
        "UPDATE teams SET deleted_at = clock_timestamp()",
    ],
)
def test_no_mail_about_a_key_that_will_not_stop_or_has_stopped(cloud, db, owner, key, change):
    let_pass(owner, 84)
    owner.run_script(change)
    assert sweep(db=db, settings=cloud)["expiring"] == 0
    assert mails(owner) == []


def test_a_row_whose_key_is_gone_is_forgotten(cloud, db, owner, key):
    owner.run_script("DELETE FROM api_keys; UPDATE job_agent_keys SET look_at = clock_timestamp()")
    sweep(db=db, settings=cloud)
    assert owner.run_script("SELECT count(*) FROM job_agent_keys") == [[0]]


def test_a_key_of_a_week_or_less_has_no_mail(cloud, db, owner, team):
    new_agent_key(owner, author=AUTHOR, team_id=team.id, created_by=team.users["admin"], days=7)
    assert sweep(db=db, settings=cloud)["expiring"] == 0
    let_pass(owner, 2)
    assert sweep(db=db, settings=cloud)["expiring"] == 0


def test_the_next_look_is_in_a_day_or_when_a_week_is_left(cloud, db, owner, key):
    at = "SELECT round(extract(epoch FROM look_at - clock_timestamp()) / 3600)::int FROM job_agent_keys"
    let_pass(owner, 80)
    sweep(db=db, settings=cloud)
    assert owner.run_script(at) == [[24]]
    owner.run_script(
        "UPDATE api_keys SET expires_at = clock_timestamp() + interval '7 days 5 hours' WHERE name = 'CI';"
        "UPDATE job_agent_keys SET look_at = clock_timestamp()"
    )
    sweep(db=db, settings=cloud)
    assert owner.run_script(at) == [[5]]


def test_of_two_sweeps_one_tells(meet, owner, key):
    let_pass(owner, 84)
    met = meet(*[Act(lambda db: db.query("look_at_keys", keys=[key]), "look_at_keys")] * 2)
    assert not met.waited
    assert sorted([len(met.one), len(met.other)]) == [0, 1]
