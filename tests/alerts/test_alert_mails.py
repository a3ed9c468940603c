"""The mails of alerts: no more in the outbox than the team's share carries, and none to a person who has left."""

from dataclasses import replace

import pytest

from tests.notify.test_mail_shares import let_pass
from tests.support.mail_world import SENDER, configure, notified, ses  # noqa: F401

SHARE = 4


@pytest.fixture
def world(world, configure, ses):  # noqa: F811
    address = {"MAIL_FROM": SENDER, "AWS_ENDPOINT_URL_SESV2": ses.url}
    configure(MAILS_PER_TEAM_AND_HOUR=str(SHARE), **address)
    world.settings = replace(world.settings, mails_per_team_and_hour=SHARE)
    return world


@pytest.fixture
def admins(world):
    """An alert by mail to the team's two admins."""
    return world.make(channel="mail", admins=True)


def waiting(world):
    return [
        row[0]
        for row in world.owner.run_script(
            "SELECT id::text FROM job_outbox WHERE status = 'unsent' AND team_id IS NOT NULL ORDER BY created_at"
        )
    ]


def send(world):
    for outbox_id in waiting(world):
        notified(outbox_id)


def minute(world, minutes, *, failures=0):
    for _ in range(failures):
        world.end()
    world.sweep(minutes)
    send(world)


def test_what_the_share_cannot_carry_is_one_digest_and_not_a_pile(world, admins, ses):  # noqa: F811
    for minutes in range(1, 13):
        minute(world, minutes, failures=2)
        assert len(waiting(world)) <= 2
    assert ses.subjects[:2] == ["2 events of Failed by mail, 2 of them failures"] * 2
    assert len(ses.mails) == SHARE
    let_pass(world.owner)
    for minutes in (61, 62):
        minute(world, minutes)
    assert len(ses.mails) == 2 * SHARE
    told = world.owner.run_script("SELECT sum((data ->> 'count')::int) FROM job_alert_deliveries WHERE kind = 'digest'")
    assert told == [[24]]
    assert {status for _, status in world.deliveries(admins)} == {"digested", "sent"}
    assert waiting(world) == []


def test_as_much_as_fits_is_handed_over_at_once(world, admins):
    others = [world.make(channel="mail", admins=True, name=f"{number}") for number in range(2)]
    world.end()
    world.sweep(1)
    assert [world.deliveries(alert) for alert in (admins, *others)].count([("failed", "sent")]) == 2
    assert len(waiting(world)) == SHARE
    # Nothing more while they wait, though the sweep comes again.
    world.sweep(2)
    assert len(waiting(world)) == SHARE


def test_one_that_is_larger_than_the_share_goes_all_the_same(world):
    world.settings = replace(world.settings, mails_per_team_and_hour=1)
    alert = world.make(channel="mail", admins=True)
    world.end()
    world.sweep(1)
    assert world.deliveries(alert) == [("failed", "sent")]


def test_without_a_limit_all_are_handed_over(world, admins):
    world.settings = replace(world.settings, mails_per_team_and_hour=0)
    others = [world.make(channel="mail", admins=True, name=f"{number}") for number in range(4)]
    world.end()
    world.sweep(1)
    assert [world.deliveries(alert) for alert in (admins, *others)] == [[("failed", "sent")]] * 5


def test_mails_of_another_team_and_other_mails_are_not_waited_for(world, admins):
    world.owner.run_script(
        "INSERT INTO job_outbox (content, recipient, team_id) VALUES"
        """ ('{"subject": "s", "lines": [], "alert_id": "x"}', 'a@x', gen_random_uuid()),"""
        f""" ('{{"subject": "s", "lines": [], "confirms": true}}', 'a@x', '{world.team.id}')"""
    )
    world.end()
    world.sweep(1)
    assert world.deliveries(admins) == [("failed", "sent")]


def test_a_mail_that_ses_refuses_for_now_keeps_no_others_back(world, admins, ses):  # noqa: F811
    world.end()
    ses.refusal = (503, "ServiceUnavailable", "Come back later")
    minute(world, 1)
    assert len(waiting(world)) == 2
    world.end()
    world.sweep(2)
    assert world.deliveries(admins) == [("failed", "sent"), ("failed", "sent")]


def test_what_finds_no_share_for_a_day_has_failed(world):
    first, second = (world.make(channel="mail", admins=True, name=name) for name in "ab")
    world.settings = replace(world.settings, mails_per_team_and_hour=2)
    world.end()
    world.sweep(1)
    [left] = [alert for alert in (first, second) if world.deliveries(alert) == [("failed", "unsent")]]
    world.sweep(24 * 60)
    assert world.deliveries(left) == [("failed", "unsent")]
    world.sweep(24 * 60 + 1)
    assert world.deliveries(left) == [("failed", "failed")]
    assert world.alert(left)["last"]["error"] == "The team's limit of mails per hour left no room for it within a day"


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM team_members WHERE role = 'admin'",
        "UPDATE team_members SET role = 'member' WHERE role = 'admin'",
        "UPDATE users SET deleted_at = now() WHERE email LIKE 'admin@%'",
        """UPDATE job_alerts SET config = config || '{"admins": false, "addresses": ["owner@owls.example"]}'""",
    ],
)
def test_a_person_who_has_left_gets_none(world, admins, ses, change):  # noqa: F811
    world.end()
    world.sweep(1)
    world.owner.run_script(change)
    send(world)
    assert ses.recipients == ["owner@owls.example"]
    assert world.owner.run_script("SELECT recipient FROM job_outbox WHERE status = 'unwanted'") == [
        ["admin@owls.example"]
    ]


def test_an_alert_that_was_deleted_sends_none(world, admins, ses):  # noqa: F811
    world.end()
    world.sweep(1)
    world.owner.run_script("UPDATE job_alerts SET deleted_at = now()")
    send(world)
    assert ses.mails == []


def test_a_mail_that_an_earlier_release_wrote_is_sent(world, ses):  # noqa: F811
    world.owner.run_script(
        "INSERT INTO job_outbox (content, recipient, team_id)"
        f""" VALUES ('{{"subject": "s", "lines": []}}', 'a@x.example', '{world.team.id}')"""
    )
    send(world)
    assert ses.recipients == ["a@x.example"]
