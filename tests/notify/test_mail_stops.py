"""Bounces and complaints of which SES tells, and the mails that are then not sent."""

import json
from pathlib import Path

import pytest

from local.deployment.template import PATH, load
from nightshift.base.settings import Settings
from nightshift.notify.mail_stops import told_by
from nightshift.operator import mail_checks
from nightshift.runs.timeline import timeline
from tests.support.fixtures import load_function
from tests.support.mail_world import AS_LONG_AS_IT_HAS, OWNER, SENDER, alert, end, mail, notified, project_run
from tests.support.operator_world import answer
from tests.support.world import state_of

WORDS = "smtp; 550 5.1.1 user unknown"


@pytest.fixture(autouse=True)
def mails(configure, ses):
    configure(MAIL_FROM=SENDER, SYSTEM_JOBS_ALERT_EMAIL=OWNER, AWS_ENDPOINT_URL_SESV2=ses.url)


def bounce(address, kind="Permanent"):
    """Return the event of the reference: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-examples.html"""
    recipient = {"emailAddress": address, "action": "failed", "status": "5.1.1", "diagnosticCode": WORDS}
    told = {"bounceType": kind, "bounceSubType": "General", "bouncedRecipients": [recipient]}
    return {"eventType": "Bounce", "bounce": told, "mail": {"messageId": "message-1", "destination": [address]}}


def complaint(address):
    told = {"complainedRecipients": [{"emailAddress": address}], "complaintFeedbackType": "abuse"}
    return {"eventType": "Complaint", "complaint": told, "mail": {"messageId": "message-1"}}


def told(event):
    message = json.loads(Path("events/notify.json").read_text())
    message["Records"][0]["body"] = json.dumps(event)
    load_function("notify").handler(message, AS_LONG_AS_IT_HAS)


def email_of(owner, team):
    return owner.run_script(f"SELECT email FROM users WHERE id = '{team.users['admin']}'")[0][0]


def stops(db):
    return [
        (each["address"], each["reason"], each["detail"])
        for each in answer({"command": "mail_stops"}, db=db, settings=None)["stops"]
    ]


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (bounce(OWNER), f"because a mail to it bounced for good ({WORDS})."),
        (bounce(f"The Owner <{OWNER.upper()}>"), f"because a mail to it bounced for good ({WORDS})."),
        (complaint(OWNER), "because its reader reported a mail as spam."),
    ],
)
def test_a_bounce_or_a_complaint_stops_mails_to_the_address_and_the_mail_says_so(db, owner, ses, event, says):
    told(event)
    told(event)  # delivered twice
    outbox_id = alert(owner)
    notified(outbox_id)
    assert ses.mails == []
    row = mail(owner, outbox_id)
    assert (row.status, row.message_id) == ("unwanted", None)
    assert row.error.startswith("Not sent: mails to this address are stopped since 20")
    assert says in row.error
    assert row.error.endswith("The operator lifts the stop: nightshift system mail-stops")
    [(address, _, _)] = stops(db)
    assert address == OWNER


@pytest.mark.parametrize("kind", ["Transient", "Undetermined"])
def test_a_passing_bounce_stops_nothing(db, owner, ses, kind):
    told(bounce(OWNER, kind))
    notified(alert(owner))
    assert ses.recipients == [OWNER]
    assert stops(db) == []


def test_the_operator_lifts_a_stop(db, owner, ses):
    told(bounce(OWNER))
    lifted = answer({"command": "lift_mail_stop", "address": f" {OWNER.upper()} "}, db=db, settings=None)["lifted"]
    assert (lifted["address"], lifted["reason"], lifted["detail"]) == (OWNER, "bounce", WORDS)
    assert stops(db) == []
    notified(alert(owner))
    assert ses.recipients == [OWNER]
    again = answer({"command": "lift_mail_stop", "address": OWNER}, db=db, settings=None)
    assert again == {
        "error": f'Mails to "{OWNER}" are not stopped. `nightshift system mail-stops` lists the stopped addresses'
    }


def test_other_addresses_get_their_mails(db, owner, ses, configure):
    configure(SYSTEM_JOBS_ALERT_EMAIL=f"{OWNER}, second@server.example")
    told(bounce(OWNER))
    outbox_id = alert(owner)
    notified(outbox_id)
    [[other]] = owner.run_script("SELECT id FROM job_outbox WHERE status = 'unsent'")
    notified(other)
    assert ses.recipients == ["second@server.example"]


def test_the_first_reason_stays(db):
    told(bounce("a@b.example"))
    told(complaint("a@b.example"))
    assert stops(db) == [("a@b.example", "bounce", WORDS)]


def test_the_doctor_is_red_only_for_an_address_of_the_operators(db):
    def found(addresses):
        return mail_checks.check_stops(
            db, Settings(database_host="", database_user="", system_jobs_alert_email=addresses)
        )

    assert found(OWNER)[:2] == (True, "none")
    told(bounce("a@b.example"))
    assert found(OWNER)[:2] == (True, "1 address of others (nightshift system mail-stops)")
    assert found("not an address")[0]
    told(bounce(OWNER))
    assert found(OWNER.upper())[:2] == (False, f"mails to {OWNER}, an address of the operators, are stopped")


@pytest.mark.parametrize(
    "body",
    [
        "no JSON",
        "[" * 100_000,
        "7",
        '{"eventType": "Delivery", "delivery": {}}',
        '{"eventType": "Bounce", "bounce": {"bounceType": "Permanent"}}',
        '{"outbox_id": "6e0a826e-7216-4a48-a98c-67b6e26b9ae4"}',
    ],
)
def test_other_messages_tell_of_no_address(body):
    assert told_by(body) is None


@pytest.mark.parametrize(
    ("event", "why"), [(bounce, "a mail to it bounced for good"), (complaint, "its reader reported a mail as spam")]
)
def test_a_team_is_told_that_a_mail_about_its_run_was_stopped(db, owner, ses, cloud, team, event, why):
    run_id = project_run(team, db=db, settings=cloud, by=f"user:{team.users['admin']}")
    told(event(email_of(owner, team)))
    assert timeline(state_of(db, run_id), db=db, settings=cloud)["mail_stopped"] is None, "no mail is owed yet"
    end(owner, run_id)
    [[day]] = owner.run_script("SELECT to_char(stopped_at, 'YYYY-MM-DD') FROM job_mail_stops")
    # Neither the address nor the words of its server: other members read it, and agents.
    assert timeline(state_of(db, run_id), db=db, settings=cloud)["mail_stopped"] == (
        f"Mails to the person who triggered this run are stopped since {day}, because {why}. "
        "The operator lifts the stop: nightshift system mail-stops"
    )


def test_a_mail_that_bounced_after_it_was_sent_says_so(db, owner, ses, cloud, team):
    run_id = project_run(team, db=db, settings=cloud, by=f"user:{team.users['admin']}")
    [outbox_id] = end(owner, run_id)
    notified(outbox_id)
    told(bounce("other@server.example"))
    assert timeline(state_of(db, run_id), db=db, settings=cloud)["mail_stopped"] is None
    told(bounce(email_of(owner, team)))
    assert timeline(state_of(db, run_id), db=db, settings=cloud)["mail_stopped"]
    [seen] = answer({"command": "view", "run_id": str(run_id)}, db=db, settings=cloud)["mails"]
    assert (seen["status"], seen["error"]) == ("sent", None)
    assert seen["stopped"].startswith("mails to this address are stopped since 20")
    assert WORDS in seen["stopped"]
    answer({"command": "lift_mail_stop", "address": email_of(owner, team)}, db=db, settings=cloud)
    assert timeline(state_of(db, run_id), db=db, settings=cloud)["mail_stopped"] is None
    assert answer({"command": "view", "run_id": str(run_id)}, db=db, settings=cloud)["mails"][0]["stopped"] is None


@pytest.mark.parametrize("bad", ["no address", "NULL"])
def test_a_run_without_an_address_is_shown_as_well(db, owner, ses, cloud, team, bad):
    run_id = project_run(team, db=db, settings=cloud, by=f"user:{team.users['admin']}")
    end(owner, run_id)
    owner.run_script(f"UPDATE job_outbox SET recipient = nullif('{bad}', 'NULL')")
    told(bounce("other@server.example"))
    assert timeline(state_of(db, run_id), db=db, settings=cloud)["mail_stopped"] is None
    [seen] = answer({"command": "view", "run_id": str(run_id)}, db=db, settings=cloud)["mails"]
    assert seen["stopped"] is None


def test_mails_are_sent_with_the_set_that_tells_of_them(owner, ses):
    notified(alert(owner))
    assert ses.mails[0]["ConfigurationSetName"] == "mails"
    resources = load(PATH)["Resources"]
    variables = resources["NotifyFunction"]["Properties"]["Environment"]["Variables"]
    destination = resources["MailEventsDestination"]["Properties"]
    assert variables["MAIL_CONFIGURATION_SET"] == {"Fn::If": ["TellsOfBounces", {"Ref": "MailEvents"}, ""]}
    assert destination["ConfigurationSetName"] == {"Ref": "MailEvents"}
    assert destination["EventDestination"]["MatchingEventTypes"] == ["bounce", "complaint"]
    pattern = resources["MailEventsRule"]["Properties"]["EventPattern"]
    assert pattern["detail"]["mail"]["tags"]["ses:configuration-set"] == [{"Ref": "MailEvents"}]


def test_a_region_without_sets_sends_mails_as_well(owner, ses, configure):
    configure(MAIL_CONFIGURATION_SET="")
    notified(alert(owner))
    assert "ConfigurationSetName" not in ses.mails[0]


@pytest.mark.parametrize("odd", ["a text", None, {}, {"emailAddress": 7}, {"emailAddress": "a\0b@x.example"}])
def test_an_odd_recipient_or_odd_words_cost_nobody_else_their_stop(db, odd):
    event = bounce(OWNER)
    event["bounce"]["bouncedRecipients"][0]["diagnosticCode"] = "550 \0unknown \ud800user"
    event["bounce"]["bouncedRecipients"].insert(0, odd)
    told(event)
    assert (OWNER.lower(), "bounce", "550 unknown user") in stops(db)
