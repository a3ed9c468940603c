"""A mail on the whole stack: from a trigger over HTTP to the mailbox."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from local.deployment.deploy import STACK
from local.seed import ADMIN_EMAIL
from local.stack import Stack
from tests.support.stack_world import USERS, triggered, until

pytestmark = pytest.mark.stack


def mails(here: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the mails that SES accepted."""
    accounts = urllib3.request("GET", here["mailbox_url"]).json()["messages"]
    return [mail for mails in accounts.values() for mail in mails]


def page(here: dict[str, Any], path: str) -> str:
    answer = urllib3.request("GET", here["mailbox_page_url"] + path)
    assert answer.status == 200, answer.data
    return answer.data.decode()


def test_whoever_asked_gets_a_mail(stack: Stack, here: dict[str, Any], stack_owner: Any) -> None:
    run_id = triggered(here, notify=True)["id"]
    [mail] = until(lambda: [mail for mail in mails(here) if run_id in mail["BodyText"]])
    assert (mail["Source"], mail["To"]) == ("Nightshift <nightshift@demo.test>", [ADMIN_EMAIL])
    assert mail["Subject"] == "RevenueCat Sync completed: Demo"
    assert f"{USERS} of {USERS}" in mail["BodyText"]

    stored = "SELECT status, message_id FROM job_outbox WHERE run_id = CAST(:run_id AS uuid) AND kind = 'mail'"
    until(lambda: stack_owner.run(stored, run_id=run_id) == [["sent", mail["MessageId"]]])

    listed = page(here, "/")
    assert "RevenueCat Sync completed: Demo" in listed
    shown = f"/{mail['MessageId'].partition('@')[0]}"
    assert f'href="{urlsplit(here["mailbox_page_url"]).path}{shown}"' in listed
    assert page(here, shown) == mail["BodyHtml"]
    assert page(here, f"{shown}.txt") == mail["BodyText"]


def test_the_owner_is_alerted(here: dict[str, Any], stack: Stack, stack_owner: Any) -> None:
    content = '{"subject": "A slot was missed", "lines": ["The schedule did not fire."]}'
    add = "INSERT INTO job_outbox (content) VALUES (CAST(:content AS jsonb)) RETURNING id"
    [[outbox_id]] = stack_owner.run(add, content=content)
    queue_url = stack.local_aws.client("sqs").list_queues(QueueNamePrefix="nightshift-NotifyQueue")["QueueUrls"][0]
    for _ in range(2):
        stack.local_aws.client("sqs").send_message(QueueUrl=queue_url, MessageBody=f'{{"outbox_id": "{outbox_id}"}}')
    ended = "SELECT status FROM job_outbox WHERE id = :id"
    until(lambda: stack_owner.run(ended, id=outbox_id) == [["sent"]])
    alerts = [mail["To"] for mail in mails(here) if mail["Subject"] == "A slot was missed"]
    assert alerts == [[ADMIN_EMAIL]]


def test_a_bounce_that_ses_tells_eventbridge_stops_mails_to_the_address(stack: Stack, stack_owner: Any) -> None:
    """Local AWS delivers no events of SES, and refuses events in its name. So the rule hears another source."""
    events = stack.local_aws.client("events")
    rule = resource_of(stack, "MailEventsRule").rpartition("/")[2].rpartition("|")[2]
    pattern = json.loads(events.describe_rule(Name=rule)["EventPattern"])
    assert pattern["source"] == ["aws.ses"]
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern | {"source": ["test"]}))
    for configuration_set, address in (
        ("another", "kept@demo.test"),
        (resource_of(stack, "MailEvents"), "gone@demo.test"),
    ):
        detail = {
            "eventType": "Bounce",
            "bounce": {"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": address}]},
            "mail": {"messageId": "1", "tags": {"ses:configuration-set": [configuration_set]}},
        }
        entry = {"Source": "test", "DetailType": "Email Bounced", "Detail": json.dumps(detail)}
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    stopped = "SELECT address FROM job_mail_stops WHERE address LIKE '%@demo.test'"
    until(lambda: stack_owner.run(stopped) == [["gone@demo.test"]])


def resource_of(stack: Stack, name: str) -> str:
    describe = stack.local_aws.client("cloudformation").describe_stack_resource
    identifier: str = describe(StackName=STACK, LogicalResourceId=name)["StackResourceDetail"]["PhysicalResourceId"]
    return identifier
