"""The environment of the functions when `sam local` runs them in Docker against a local stack."""

from collections.abc import Collection
from typing import Any

from local.aws import LocalAws
from local.deployment.deploy import functions

# The name by which a container reaches this machine.
DOCKER_HOST = "host.docker.internal"


def environments(local_aws: LocalAws, *, besides: Collection[str]) -> dict[str, dict[str, str]]:
    """Return ``{logical id of a function: {variable: value}}``, for ``sam local --env-vars``.

    The variables in ``besides`` are left out: only local AWS needs them. sam passes on only variables that the template
    declares, so functions that declare none are left out.
    """
    declared = {logical_id: _variables(local_aws, name) for logical_id, name in functions(local_aws=local_aws).items()}
    return {
        logical_id: {
            name: value.replace("127.0.0.1", DOCKER_HOST) for name, value in variables.items() if name not in besides
        }
        | {"AWS_ENDPOINT_URL": local_aws.url.replace("127.0.0.1", DOCKER_HOST)}
        for logical_id, variables in declared.items()
        if variables
    }


def _variables(local_aws: LocalAws, name: str) -> dict[str, Any]:
    answer = local_aws.client("lambda").get_function_configuration(FunctionName=name)
    variables: dict[str, Any] = answer.get("Environment", {}).get("Variables", {})
    return variables
