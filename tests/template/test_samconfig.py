"""samconfig.toml matches template.yaml: each parameter of a deployment exists and may have that value."""

import re
import tomllib
from pathlib import Path

import pytest

from local.deployment.template import PATH, load

PARAMETERS = load(PATH)["Parameters"]
TEXT = Path("samconfig.toml").read_text()
CONFIG = tomllib.loads(TEXT)
STAGES = {name: commands for name, commands in CONFIG.items() if name != "version"}


def overrides(command):
    return dict(override.split("=", 1) for override in command["parameters"].get("parameter_overrides", []))


def allowed(parameter, value):
    if "AllowedValues" in parameter:
        return value in map(str, parameter["AllowedValues"])
    if parameter["Type"] == "Number":
        return float(parameter.get("MinValue", "-inf")) <= float(value) <= float(parameter.get("MaxValue", "inf"))
    return re.fullmatch(parameter.get("AllowedPattern", ".*"), value) is not None


def test_there_are_three_stages_each_with_a_stack_of_its_own():
    assert [*STAGES] == ["default", "staging", "prod"]
    assert CONFIG["version"] == 0.1
    assert len({commands["global"]["parameters"]["stack_name"] for commands in STAGES.values()}) == 3


@pytest.mark.parametrize("stage", STAGES)
def test_overrides_are_parameters_with_values_that_the_template_takes(stage):
    for name, command in STAGES[stage].items():
        for parameter, value in overrides(command).items():
            assert parameter in PARAMETERS, f"{stage}.{name}: {parameter}"
            assert allowed(PARAMETERS[parameter], value), f"{stage}.{name}: {parameter}={value}"


@pytest.mark.parametrize("stage", STAGES)
def test_every_command_of_sam_knows_the_loops_of_the_template(stage):
    """Without it, sam ends with an error of its own: `'list' object has no attribute 'get'`."""
    assert STAGES[stage]["global"]["parameters"]["language_extensions"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_deploy_may_make_roles_without_names_and_rolls_back_when_it_fails(stage):
    deploy = STAGES[stage]["deploy"]["parameters"]
    assert deploy["capabilities"] == "CAPABILITY_IAM"
    assert deploy["resolve_s3"]
    assert not deploy["disable_rollback"]
    assert f"stage={stage}" in deploy["tags"]
    assert STAGES[stage]["validate"]["parameters"] == {"lint": True}


def test_nothing_in_production_changes_unseen_and_its_database_is_not_deleted_by_accident():
    assert STAGES["prod"]["deploy"]["parameters"]["confirm_changeset"]
    protection = overrides(STAGES["prod"]["deploy"]).get("DatabaseDeletionProtection")
    assert (protection or PARAMETERS["DatabaseDeletionProtection"]["Default"]) == "true"


def test_it_is_nobodys_account():
    assert not re.search(
        r"\d{12}|amazonaws\.com/|s3_bucket|profile *=|image_repositor", TEXT.replace("https://docs.", "")
    )
