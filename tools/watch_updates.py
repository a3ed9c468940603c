"""``python -m tools.watch_updates STACK``: let alarms roll back each later update of a deployed stack.

CloudFormation keeps these triggers with the stack and applies them to every update, also to those of `sam deploy`,
which has no option for them: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-rollback-triggers.html
It changes a tag, because CloudFormation refuses an update that changes nothing.
"""

import sys
from typing import Any

import boto3

# At most five. They go off when functions fail, however the runs' jobs fare. A release must keep their names, because
# CloudFormation fails an update with a trigger that is gone.
ALARMS = ("ApiErrorsAlarm", "ApiFaultsAlarm", "WorkerErrorsAlarm", "NotifyErrorsAlarm", "SweepErrorsAlarm")
# Longer than the slowest of them takes to go off.
MINUTES = 20
TAG = "rollback"


def watch(stack: str, *, session: boto3.Session, endpoint: str | None = None) -> None:
    """Give the stack the triggers, and wait until that is done. Raise SystemExit while an alarm is on."""
    cloudformation = session.client("cloudformation", endpoint_url=endpoint)
    [found] = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    names = [
        cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=alarm)["StackResourceDetail"]
        for alarm in ALARMS
    ]
    alarms: list[dict[str, Any]] = session.client("cloudwatch", endpoint_url=endpoint).describe_alarms(
        AlarmNames=[each["PhysicalResourceId"] for each in names]
    )["MetricAlarms"]
    if ringing := [alarm["AlarmName"] for alarm in alarms if alarm["StateValue"] == "ALARM"]:
        raise SystemExit(f"Nothing was changed, because this alarm is on: {', '.join(ringing)}. Cure that first.")
    tags = [tag for tag in found.get("Tags", []) if tag["Key"] != TAG]
    cloudformation.update_stack(
        StackName=stack,
        UsePreviousTemplate=True,
        Parameters=[
            {"ParameterKey": parameter["ParameterKey"], "UsePreviousValue": True}
            for parameter in found.get("Parameters", [])
        ],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Tags=[*tags, {"Key": TAG, "Value": f"by {len(alarms)} alarms for {MINUTES} minutes"}],
        RollbackConfiguration={
            "RollbackTriggers": [{"Arn": alarm["AlarmArn"], "Type": "AWS::CloudWatch::Alarm"} for alarm in alarms],
            "MonitoringTimeInMinutes": MINUTES,
        },
    )
    cloudformation.get_waiter("stack_update_complete").wait(StackName=stack)


if __name__ == "__main__":
    watch(sys.argv[1], session=boto3.Session())
    print(f"Each later update of {sys.argv[1]} is watched for {MINUTES} minutes, and rolled back if an alarm goes off.")
