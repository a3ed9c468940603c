"""Each function's role matches the calls that its code makes, in both directions, according to local AWS's CloudTrail.

Local AWS checks every call of every stack test against the policies, including resources, and refuses calls that are
not allowed. So this test drives each function through its paths; a permission that was never used is too much.
"""

import itertools
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pg8000.native
import pytest
import urllib3
from botocore.exceptions import ClientError

from local.deployment.deploy import BATCHES, STACK
from local.deployment.template import PATH, load
from local.run import call
from local.seed import REVENUECAT_KEY
from local.stack import CHECKOUT, Stack
from nightshift.database.session_pins import ROLES
from tests.support.stack_world import QUICK, ended, function_processes, triggered, until

pytestmark = pytest.mark.stack

RESOURCES = load(CHECKOUT / PATH)["Resources"]

# Permissions for calls that the function's code does not make itself.
ELSEWHERE = {
    # Lambda itself sends events that the function failed at, with the function's role.
    ("ScheduleFunction", "sqs:SendMessage", "ScheduleDeadLetters"),
}
# Local AWS's CloudTrail does not name these calls. The doctor makes one of each kind.
UNNAMED = {"lambda:GET.lambda": "lambda:GetAccountSettings", "sns:POST.sns": "sns:ListSubscriptionsByTopic"}
# It omits SES. These calls were made if the outbox has sent mails, and the doctor knows sender and
# account.
BY_THEIR_EFFECT = {
    ("NotifyFunction", "ses:SendEmail", "*"),
    ("OperateFunction", "ses:GetEmailIdentity", "*"),
    ("OperateFunction", "ses:GetAccount", "*"),
}
# The template's conditions that are true on this machine and affect policies.
MET_HERE = {"OwnerHasSecret", "SignInWithPassword"}
SINGLE = {batch: single for single, (_, batch) in BATCHES.items()}
Call = tuple[str, str, str]


def statements(function: str) -> Iterator[dict[str, Any]]:
    """Return the statements of its role's own policies, and of those for the database sign-in."""
    policies = RESOURCES[function]["Properties"].get("Policies", [])
    yield from (each for policy in policies for each in policy.get("Fn::If", [None, policy])[1]["Statement"])
    for resource in RESOURCES.values():
        if (
            resource["Type"] == "AWS::IAM::ManagedPolicy"
            and {"Ref": f"{function}Role"} in resource["Properties"]["Roles"]
        ):
            for choice in resource["Properties"]["PolicyDocument"]["Statement"]:
                condition, met, otherwise = choice["Fn::If"]
                statement = met if condition in MET_HERE else otherwise
                if statement != {"Ref": "AWS::NoValue"}:
                    yield statement


def allowed(function: str) -> set[Call]:
    """Return ``(function, action, queue)`` of each statement of its role; ``*`` if the resource is not a queue."""
    found = set()
    for statement in statements(function):
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for resource in resources:
            queue = resource["Fn::GetAtt"][0] if statement["Action"].startswith("sqs:") else "*"
            found.add((function, statement["Action"], queue))
    return found


def called(stack: Stack, function: str) -> set[Call]:
    """Return the same for each CloudTrail call with the credentials of this function's processes."""
    resources = stack.local_aws.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    names = {resource["PhysicalResourceId"]: resource["LogicalResourceId"] for resource in resources}
    keys = {
        environment["AWS_ACCESS_KEY_ID"]
        for _, environment in function_processes(stack.folder)
        if names.get(environment["AWS_LAMBDA_FUNCTION_NAME"]) == function
    }
    look_up = stack.local_aws.client("cloudtrail").lookup_events
    # Local AWS returns the fifty newest events, so ask for those of each service, too.
    sources = {action.partition(":")[0] for _, action, _ in allowed(function)}
    narrower = [[], *([{"AttributeKey": "EventSource", "AttributeValue": f"{each}.amazonaws.com"}] for each in sources)]
    found = set()
    for key, further in itertools.product(keys, narrower):
        of_key = {"AttributeKey": "AccessKeyId", "AttributeValue": key}
        for event in look_up(LookupAttributes=[of_key, *further])["Events"]:
            detail = json.loads(event["CloudTrailEvent"])
            action = f"{detail['eventSource'].removesuffix('.amazonaws.com')}:{detail['eventName']}"
            queue = names[detail["requestParameters"]["QueueUrl"]] if action.startswith("sqs:") else "*"
            found.add((function, (SINGLE | UNNAMED).get(action, action), queue))
    return found


def fires(stack: Stack, owner: pg8000.native.Connection) -> bool:
    """Return whether the schedule function started a run; not while its rule's own run is live."""
    slot = datetime.now(UTC).replace(second=0, microsecond=0)
    owner.run("DELETE FROM job_schedule_slots WHERE slot = :slot", slot=slot)
    fired = {"job_type": "partition_creation", "time": slot.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return stack.invoke("ScheduleFunction", fired) == {"outcome": "started"}


@pytest.fixture
def driven(stack: Stack, here: dict[str, Any], stack_owner: pg8000.native.Connection) -> None:
    """Drive every function through every path that calls AWS."""
    faults = here["revenuecat_url"].removesuffix("/v2") + "/_sandbox/faults"

    def lost(job_type: str) -> str:
        """Insert a run whose message was never sent."""
        return str(
            stack_owner.run(
                "INSERT INTO job_runs (id, job_type, triggered_by, resend_at)"
                " VALUES (gen_random_uuid(), :job_type, 'schedule', clock_timestamp()) RETURNING id",
                job_type=job_type,
            )[0][0]
        )

    def is_over(run_id: str) -> bool:
        return stack_owner.run("SELECT completed_at FROM job_runs WHERE id = CAST(:id AS uuid)", id=run_id) != [[None]]

    # API: a user's token; a provider's key, stored by an admin; a run that waits for RevenueCat and is then cancelled,
    # with a mail to the triggering user.
    as_admin = here | {"agent_key": here["admin_token"]}
    assert call(as_admin, "GET", "/v1/auth/whoami")[0] == 200
    at = f"/v1/projects/{here['project_id']}/integrations/revenuecat"
    status, changed = call(as_admin, "PATCH", at, {"config": {"api_key": REVENUECAT_KEY}})
    assert (status, changed["test"]["ok"]) == (200, True)
    # A team's alert, its test, and what it tells of the runs below.
    wanted = {"channel": "webhook", "events": ["ended"], "minutes_between": 0, "url": here["alert_sink_url"]}
    status, made = call(as_admin, "POST", f"/v1/teams/{here['team_id']}/alerts", wanted)
    assert status == 201
    alert = f"/v1/alerts/{made['alert']['id']}"
    assert call(as_admin, "POST", f"{alert}/test")[0] == 201
    urllib3.request("POST", faults, json={"status": 503, "path": "entitlements", "times": None})
    waiting = triggered(here, notify=True)["id"]
    until(lambda: (run := call(here, "GET", f"/v1/jobs/{waiting}")[1]["job_run"])["status"] == "running" and run["id"])
    until(lambda: call(here, "GET", f"/v1/jobs/{waiting}/timeline")[1]["timeline"][0]["outcome"] == "waiting")
    call(here, "POST", f"/v1/jobs/{waiting}/cancel")
    urllib3.request("DELETE", faults)
    # Worker: a sync to its end, with its mail.
    synced = triggered(here, notify=True, **QUICK)["id"]
    assert until(lambda: ended(here, synced))["status"] == "completed"
    # Sweep: a run, a mail and an event without messages.
    run_id = lost("db_pruning")
    stack_owner.run(
        "INSERT INTO job_outbox (content, send_at) VALUES (CAST(:content AS jsonb), clock_timestamp())",
        content='{"subject": "Lost", "lines": []}',
    )
    # The announce function, which may still be sending this event, would mark it as sent after our statement.
    of_synced = "FROM job_outbox WHERE run_id = CAST(:run_id AS uuid) AND kind = 'event'"
    until(lambda: stack_owner.run(f"SELECT status {of_synced}", run_id=synced) == [["sent"]])
    stack_owner.run(
        "UPDATE job_outbox SET status = 'unsent', attempts = 0, ended_at = NULL, message_id = NULL,"
        " claimed_until = NULL, retry_at = clock_timestamp(), send_at = clock_timestamp()"
        " WHERE run_id = CAST(:run_id AS uuid) AND kind = 'event'",
        run_id=synced,
    )
    until(lambda: stack.invoke("SweepFunction", {}) and is_over(run_id))
    # Schedule: this minute's slot, whether or not its rule has fired.
    stack_owner.run("UPDATE job_schedules SET active_since = active_since - interval '1 hour'")
    until(lambda: fires(stack, stack_owner))
    # The operator's commands.
    letters = stack.local_aws.client("cloudformation").describe_stack_resource
    for of in ("Run", "Notify", "Announce", "Deliver", "Schedule"):
        queue = f"{of}DeadLetters"
        url = letters(StackName=STACK, LogicalResourceId=queue)["StackResourceDetail"]["PhysicalResourceId"]
        body = json.dumps({"run_id": synced, "slice": 0, "outbox_id": str(uuid.uuid4()), "alert_id": str(uuid.uuid4())})
        stack.local_aws.client("sqs").send_message(QueueUrl=url, MessageBody=body)
    commands = [
        {"command": "deadletters"},
        *({"command": "redrive", "queue": queue} for queue in ("runs", "mails", "events", "alerts", "schedules")),
        {"command": "doctor"},
        {"command": "health"},
        {"command": "trigger", "job_type": "db_pruning"},
        {"command": "logs", "run_id": synced},
        {"command": "send_test_mail", "to": "owner@demo.test"},
    ]
    for command in commands:
        answer = stack.invoke("OperateFunction", command)
        assert "error" not in answer, (command, answer)
        if command == {"command": "doctor"}:
            assert [each["ok"] for each in answer["checks"] if each["name"] in ("sender", "SES account")] == [True] * 2
    # Migrate: the process that the deployment started may have ended.
    assert stack.invoke("MigrateFunction", {})["applied"] == []
    assert len(stack.invoke("MigrateFunction", {"rotate_passwords": True})["rotated"]) == len(ROLES)
    wish = {"command": "setup", "team": "Least", "admin_email": "least@demo.test", "project": "One"}
    assert "agent_key" in stack.invoke("SetupFunction", wish | {"revenuecat_key": "sk_least"})
    # Deliver: what the alert has to tell.
    deliveries = lambda: call(as_admin, "GET", f"{alert}/deliveries")[1]["deliveries"]  # noqa: E731
    until(lambda: len(deliveries()) > 1 and {each["status"] for each in deliveries()} == {"sent"})
    assert call(as_admin, "DELETE", alert)[0] == 200
    # Notify and announce: all those mails and events.
    until(lambda: not stack_owner.run("SELECT FROM job_outbox WHERE status = 'unsent'"))
    assert ["sent"] in stack_owner.run("SELECT status FROM job_outbox")


def test_a_role_allows_what_is_called_and_nothing_else(stack: Stack, driven: None) -> None:
    functions = [name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::Serverless::Function"]
    may = set().union(*(allowed(function) for function in functions)) - ELSEWHERE
    does = set().union(*(called(stack, function) for function in functions)) | BY_THEIR_EFFECT
    assert sorted(may - does) == []
    assert sorted(does - may) == []


def test_a_queue_refuses_a_call_without_tls(stack: Stack) -> None:
    """Local AWS is reached without it, so the stack on this machine does not have these policies."""
    sqs = stack.local_aws.client("sqs")
    queue = sqs.create_queue(QueueName="reached-without-tls")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = RESOURCES["RunQueuePolicy"]["Properties"]["PolicyDocument"]
    [statement] = policy["Statement"]
    sqs.send_message(QueueUrl=queue, MessageBody="before")
    sqs.set_queue_attributes(
        QueueUrl=queue, Attributes={"Policy": json.dumps(policy | {"Statement": [statement | {"Resource": arn}]})}
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        sqs.send_message(QueueUrl=queue, MessageBody="after")
