"""Compare the translated template with what RDS's and Lambda's regions have, for `make template`.

    .venv/sam/bin/python -m tools.regions compare .local/translated.json
    .venv/sam/bin/python -m tools.regions different .local/translated.json

``compare`` looks up the types of resources and the classes of a Postgres server in each region. ``different`` prints
the regions for which cfn-lint has to lint the template: of those that have the same schemas for its resources, one.
``all`` prints all. It needs cfn-lint, which sam brings.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from cfnlint.data.schemas.extensions import aws_rds_dbinstance
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from cfnlint.template import Template

PARTITIONS = ("aws", "aws-us-gov", "aws-cn")
CLASSES: dict[str, Any] = json.loads(
    (Path(aws_rds_dbinstance.__file__).parent / "dbinstanceclass_enum.json").read_text()
)
RULE = "TheRegionHasBurstableClasses"


def regions() -> list[str]:
    """Return the regions that have both RDS and Lambda."""
    session = boto3.Session()
    having = [
        {region for name in PARTITIONS for region in session.get_available_regions(service, name)}
        for service in ("rds", "lambda")
    ]
    return sorted(set.intersection(*having))


def faults(template: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each region that would refuse a resource, or the default class of the database."""
    usual = template["Parameters"]["DatabaseClass"]["Default"]
    refused = template["Rules"][RULE]["Assertions"][0]["Assert"]["Fn::Not"][0]["Fn::Contains"][0]
    for region in regions():
        known = PROVIDER_SCHEMA_MANAGER.get_resource_types(region)
        conditions = Template("", template, [region]).conditions
        for name, resource in template["Resources"].items():
            kind, condition = resource["Type"], resource.get("Condition")
            may_exist = condition is None or True in conditions.build_scenerios_on_region(condition, region)
            if may_exist and kind not in known and not kind.startswith("Custom::"):
                yield f"{region} has no {kind} ({name}): give it a condition that leaves this region out."
        if usual not in classes(region) and region not in refused:
            yield f"{region} has no {usual}: refuse it there, in the rule {RULE}."
        elif usual in classes(region) and region in refused:
            yield f"{region} has {usual}, which the rule {RULE} refuses there."


def different(template: dict[str, Any]) -> list[str]:
    """Return one region of each group that has the same schemas for the template's resources."""
    kinds = sorted({resource["Type"] for resource in template["Resources"].values()})
    groups: dict[str, str] = {}
    for region in regions():
        known = PROVIDER_SCHEMA_MANAGER.get_resource_types(region)
        schemas = {
            kind: PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, kind).schema for kind in kinds if kind in known
        }
        groups.setdefault(json.dumps(schemas, sort_keys=True), region)
    return [*groups.values()]


def classes(region: str) -> set[str]:
    """Return the classes of Postgres servers that the region has."""
    return {
        name
        for kind in CLASSES[region]["allOf"]
        if kind["if"]["properties"]["Engine"].get("const") == "postgres"
        for name in kind["then"]["properties"]["DBInstanceClass"]["enum"]
    }


def main() -> None:
    asked, place = sys.argv[1:]
    template = json.loads(Path(place).read_text())
    match asked:
        case "compare":
            found = list(faults(template))
            print(*found or [f"{len(regions())} regions have every resource of the template."], sep="\n")
            sys.exit(1 if found else 0)
        case "different":
            print(*different(template), sep="\n")
        case "all":
            print(*regions(), sep="\n")
        case _:
            sys.exit(f'Ask for compare, different or all, not "{asked}"')


if __name__ == "__main__":
    main()
