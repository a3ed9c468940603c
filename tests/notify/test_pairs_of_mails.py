"""Two deliveries of the notify function that meet at one row of the outbox, or at one digest."""

import pytest

from nightshift.base import settings as settings_module
from nightshift.notify import delivery
from nightshift.testing.rows import make_team, sweep
from tests.notify.test_mail_shares import digests, let_pass
from tests.support.mail_world import OWNER, SENDER, alert, end, mail, project_run
from tests.support.two_sessions import ORDERS, Act


@pytest.fixture(autouse=True)
def function(configure, ses):
    address = {"MAIL_FROM": SENDER, "SYSTEM_JOBS_ALERT_EMAIL": OWNER, "AWS_ENDPOINT_URL_SESV2": ses.url}
    configure(MAILS_PER_TEAM_AND_HOUR="1", **address)


@pytest.fixture
def team(owner):
    return make_team(owner)


@pytest.fixture
def ended(team, owner, db, cloud):
    """``ended()``: return the mail of an ended run that was triggered with notify."""

    def ended():
        run_id = project_run(team, db=db, settings=cloud, by=f"user:{team.users['admin']}")
        return end(owner, run_id)[0]

    return ended


def delivers(outbox_id, *, at="claim_outbox"):
    def do(db):
        delivery.deliver(str(outbox_id), db=db, settings=settings_module.settings(), remaining_s=lambda: 30)

    return Act(do, at)


def deliver(outbox_id, db):
    delivers(outbox_id).do(db)


@pytest.mark.parametrize("dies", [False, True])
def test_one_mail_is_sent_though_two_have_its_message(meet, owner, db, ses, dies):
    outbox_id = alert(owner)
    met = meet(delivers(outbox_id), delivers(outbox_id), dies=dies)
    assert not met.waited  # a mail whose row is locked is left to the session that holds it
    if dies:
        deliver(outbox_id, db)  # SQS delivers the message of the dead function again
    assert ses.recipients == [OWNER]
    assert (mail(owner, outbox_id).status, mail(owner, outbox_id).attempts) == ("sent", 1)


@pytest.mark.parametrize(("first", "dies"), ORDERS)
def test_a_message_that_is_sent_again_while_its_mail_is_claimed_sends_one(meet, cloud, owner, ses, first, dies):
    outbox_id = alert(owner)
    owner.run_script("UPDATE job_outbox SET send_at = clock_timestamp() - interval '1 s'")
    again = Act(lambda db: sweep(db=db, settings=cloud)["mails"], "claim_unsent")
    met = meet(delivers(outbox_id), again, first=first, dies=dies)
    assert not met.waited  # each leaves a row that is locked to the session that holds it
    if not (first == 1 and dies):
        assert met.other == first
    deliver(outbox_id, owner)
    assert ses.recipients == [OWNER]
    assert mail(owner, outbox_id).status == "sent"


@pytest.mark.parametrize("dies", [False, True])
def test_the_last_mail_of_the_hour_is_taken_once(meet, owner, ended, ses, dies):
    """The second waits for the team's row and counts the first one's share. A mail whose function died comes again."""
    one, other = ended(), ended()
    met = meet(delivers(one, at="take_mail_share"), delivers(other, at="take_mail_share"), dies=dies)
    assert met.waited
    assert len(ses.mails) == 1
    assert [mail(owner, row).status for row in (one, other)] == (["unsent", "sent"] if dies else ["sent", "digested"])


ALONE, OF_ONE, OF_TWO = "RevenueCat Sync completed: Project 0", "1 run ended: The owls", "2 runs ended: The owls"


@pytest.mark.parametrize(
    ("first", "dies", "told"),
    [
        ("mail", False, [OF_TWO]),  # it joins the digest, which waits for its transaction
        ("mail", True, [OF_ONE, ALONE]),
        ("digest", False, [OF_ONE, OF_ONE]),  # it is too late for this digest, and starts another one
        ("digest", True, [OF_TWO]),
    ],
)
def test_a_mail_joins_the_digest_or_begins_another(meet, db, owner, ended, ses, first, dies, told):
    for _ in range(2):
        deliver(ended(), db)
    [digest] = digests(owner)
    let_pass(owner)
    acts = (delivers(ended(), at="digest_mail"), delivers(digest.id, at="close_digest"))
    met = meet(*acts, first=["mail", "digest"].index(first), dies=dies)
    assert met.waited
    let_pass(owner, hours=2)
    for (row,) in owner.run_script("SELECT CAST(id AS text) FROM job_outbox WHERE status = 'unsent'"):
        deliver(row, db)
    assert ses.subjects == [ALONE, *told]
