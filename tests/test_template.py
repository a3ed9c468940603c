"""template.yaml against the catalogue, the settings and the code it ships."""

from dataclasses import fields
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

from nightshift.settings import Settings

TEMPLATE = yaml_parse(Path("template.yaml").read_text())
FUNCTIONS = {
    name: resource["Properties"]
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}


def default(parameter):
    return TEMPLATE["Parameters"][parameter]["Default"]


def test_every_function_of_the_tree_is_deployed_and_nothing_else():
    folders = {str(path.parent) for path in Path("functions").glob("*/app.py")}
    assert {function["CodeUri"] for function in FUNCTIONS.values()} == folders


@pytest.mark.parametrize("function", FUNCTIONS)
def test_environment_variables_are_settings(function):
    shared = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    own = FUNCTIONS[function]["Environment"]["Variables"]
    known = {field.name.upper() for field in fields(Settings)}
    assert {*shared, *own} - known == {"NIGHTSHIFT_SQL_DIRECTORY", "POWERTOOLS_SERVICE_NAME"}


def test_traffic_waits_for_the_migrations():
    for name, resource in TEMPLATE["Resources"].items():
        if name in FUNCTIONS and name != "MigrateFunction":
            assert resource["DependsOn"] == "Migrations", name


def test_a_slice_at_work_is_not_delivered_again():
    queue = TEMPLATE["Resources"]["RunQueue"]["Properties"]
    assert queue["VisibilityTimeout"] >= 6 * default("WorkerTimeout")
    # Throttled receives count, too.
    assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5
    assert FUNCTIONS["WorkerFunction"]["Events"]["Slices"]["Properties"]["BatchSize"] == 1


def test_the_times_of_a_slice_fit_into_each_other():
    assert default("SliceBudget") + default("SliceReserve") <= default("WorkerTimeout")
    assert default("LeaseMargin") > 0
    assert default("ResendDelay") > default("LeaseMargin")
    # The API answers before API Gateway gives up after 30 seconds.
    assert FUNCTIONS["ApiFunction"]["Timeout"] < 30


def test_no_resource_has_a_name_of_its_own():
    """So that two stacks live side by side, and a resource can be replaced."""
    for name, resource in TEMPLATE["Resources"].items():
        named = {"FunctionName", "QueueName", "RoleName", "LayerName", "TableName", "Name"}
        assert not named & set(resource.get("Properties", {})), name


def test_policies_name_one_action_and_one_resource():
    for name, function in FUNCTIONS.items():
        for policy in function.get("Policies", []):
            for statement in policy["Statement"]:
                assert isinstance(statement["Action"], str), name
                assert "*" not in statement["Action"], name
                assert statement["Resource"] != "*", name
