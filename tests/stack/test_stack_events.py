"""A run's end on the whole stack: from a trigger over HTTP to a listener on the bus."""

import json
from typing import Any

import pytest

from local.stack import Stack
from tests.support.stack_world import QUICK, ended, triggered, until

pytestmark = pytest.mark.stack

PATTERN = {"source": ["nightshift"], "detail-type": ["run completed", "run failed", "run cancelled"]}


def test_whoever_listens_hears_of_the_end_once(stack: Stack, here: dict[str, Any], stack_owner: Any) -> None:
    events, sqs = stack.local_aws.client("events"), stack.local_aws.client("sqs")
    url = sqs.create_queue(QueueName="listener")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="ends", EventPattern=json.dumps(PATTERN))
    events.put_targets(Rule="ends", Targets=[{"Id": "listener", "Arn": arn}])

    run_id = triggered(here, **QUICK)["id"]
    heard: list[dict[str, Any]] = []

    def listen() -> bool:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            heard.append(json.loads(message["Body"]))
        return any(event["detail"]["id"] == run_id for event in heard)

    until(listen)
    run = ended(here, run_id)
    assert run is not None
    [event] = [event for event in heard if event["detail"]["id"] == run_id]
    assert (event["source"], event["detail-type"]) == ("nightshift", f"run {run['status']}")
    assert event["detail"] == {name: run[name] for name in event["detail"]}

    stored = "SELECT id, status FROM job_outbox WHERE run_id = CAST(:run_id AS uuid) AND kind = 'event'"
    [[outbox_id, _]] = stack_owner.run(stored, run_id=run_id)
    until(lambda: stack_owner.run(stored, run_id=run_id) == [[outbox_id, "sent"]])
    # Its message is repeated. A later message in the same queue shows that it was processed.
    announce_queue = sqs.list_queues(QueueNamePrefix="nightshift-AnnounceQueue")["QueueUrls"][0]
    sqs.send_message(QueueUrl=announce_queue, MessageBody=json.dumps({"outbox_id": str(outbox_id)}))
    second_id = triggered(here, **QUICK)["id"]
    until(lambda: listen() and any(event["detail"]["id"] == second_id for event in heard))
    assert len([event for event in heard if event["detail"]["id"] == run_id]) == 1
