"""Checks of the account: do alarms reach a person, and are there enough concurrent executions?"""

from functools import partial
from typing import Any

from nightshift.aws.clients import client
from nightshift.base.settings import Settings
from nightshift.operator.checks import Check, Finding, count_of, green, red

ALLOW_ALARMS = "Give OperateFunction network access to SNS, and the permission sns:ListSubscriptionsByTopic."
ALLOW_QUOTA = "Give OperateFunction network access to Lambda, and the permission lambda:GetAccountSettings."

# SNS's ARN of a subscription that its receiver has not confirmed.
UNCONFIRMED = "PendingConfirmation"

# Executions that the queues must leave: a request, and a sweep or a schedule beside it.
LEFT_AT_LEAST = 2


def checks_of_account(settings: Settings) -> list[Check]:
    """Return the checks for which this installation has the settings. The local stack has all of them."""
    topic, queues = settings.alarm_topic_arn, _of_queues(settings)
    return [
        *([Check("alarms", partial(_alarms, topic), ALLOW_ALARMS)] if topic else []),
        *([Check("concurrent executions", partial(_concurrency, queues), ALLOW_QUOTA)] if queues else []),
    ]


def _of_queues(settings: Settings) -> int:
    of_others = settings.mail_concurrency + settings.event_concurrency + settings.alert_concurrency
    return settings.worker_concurrency + of_others


def _alarms(topic: str) -> Finding:
    """Check that each subscription of the topic is confirmed. Only its first hundred are looked at."""
    found: list[dict[str, Any]] = client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    waiting = [each["Endpoint"] for each in found if each["SubscriptionArn"] == UNCONFIRMED]
    if waiting:
        return red(
            f"no alarm reaches {', '.join(waiting)}, because the subscription is not confirmed",
            do="Follow the link in SNS's mail to that address. It is valid for two days; then remove the value of "
            "AlarmEmail, deploy, and set it again.",
        )
    if not found:
        return green("nothing receives them: set AlarmEmail, or subscribe to the topic AlarmTopicArn")
    return green(f"sent to {count_of(len(found), 'confirmed subscription')}")


def _concurrency(queues: int) -> Finding:
    """Compare what is not reserved in the account with what the functions of the queues may use."""
    limit: dict[str, int] = client("lambda").get_account_settings()["AccountLimit"]
    free = limit["UnreservedConcurrentExecutions"]
    says = f"the queues may use {queues} of the account's {free:,} concurrent executions"
    if free < queues + LEFT_AT_LEAST:
        return red(
            f"{says}, so under load requests get 503 and sweeps are dropped",
            do='Ask Service Quotas for more "Concurrent executions" of Lambda. Until then, deploy with '
            f"WorkerConcurrency lower by {queues + LEFT_AT_LEAST - free}.",
        )
    return green(says)
