"""The baseline of bench/coldstart.py: import every module and create every client that a function could need."""

from importlib import import_module
from typing import NamedTuple

from nightshift.jobs.registry import JOB_TYPES


class Eager(NamedTuple):
    clients: tuple[str, ...]
    modules: tuple[str, ...] = ()


# For each function: the services that its code can call, and the modules that its code imports lazily. Every function
# except notify and announce imports nightshift.aws.queue, and so the code that sends messages.
LAZY = {
    "api": Eager(
        ("sqs", "secretsmanager"), ("jwt", "nightshift_jobs.revenuecat_sync.params", "api.schemas", "api.openapi")
    ),
    "worker": Eager(
        ("sqs", "kms"),
        tuple(f"nightshift_jobs.{name}.job" for name in JOB_TYPES),
    ),
    "schedule": Eager(("sqs",), ("croniter",)),
    "sweep": Eager(("sqs",), ("croniter",)),
    "notify": Eager(("sesv2",), ("nightshift.notify.mail",)),
    "announce": Eager(("events",)),
    "deliver": Eager(("sqs", "kms")),
    "operate": Eager(("sqs", "sesv2"), ("croniter", "nightshift_jobs.revenuecat_sync.params")),
    "setup": Eager(("kms",), ("croniter",)),
    "migrate": Eager(("sqs",), ("croniter",)),
}


def load(function: str) -> None:
    import boto3
    from aws_lambda_powertools import Logger, Metrics

    from nightshift.aws import clients

    wanted = LAZY[function]
    eager = {service: boto3.client(service) for service in wanted.clients}
    clients.client = lambda service, **_: eager[service]
    Logger(service="baseline")
    Metrics(namespace="baseline")
    try:
        from aws_lambda_powertools import Tracer

        Tracer(service="baseline")
    except ModuleNotFoundError:
        pass  # aws_xray_sdk is not among our requirements
    if function == "api":
        from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

        APIGatewayHttpResolver(enable_validation=True)
    for module in wanted.modules:
        import_module(module)
    if "sqs" in eager:
        from nightshift.aws import sqs

        sqs.send_message = lambda url, entry: eager["sqs"].send_message(QueueUrl=url, **entry)
        sqs.send_message_batch = lambda url, entries: (
            eager["sqs"].send_message_batch(QueueUrl=url, Entries=entries).get("Failed", [])
        )
