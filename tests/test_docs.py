"""What the pages name exists."""

import re
import tomllib
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

from local import reference

PAGES = [Path("README.md"), *Path("docs").glob("*.md"), *Path("docs/cli").glob("*.md")]


def test_the_protocols_page_names_tests_and_statements_that_are_there():
    page = Path("docs/protocol.md").read_text()
    tests = "\n".join(path.read_text() for path in Path("tests").glob("test_*.py"))
    for file, name in re.findall(r"`(test_\w+)::(…?\w+…?)`", page):
        source = Path(f"tests/{file}.py").read_text()
        assert re.search(rf"(def|class) \w*{name.strip('…')}", source), f"{file}::{name}"
    for name in re.findall(r"`…(\w+)`", page):
        assert re.search(rf"def \w*{name}", tests), name
    for query in re.findall(r"\| `(\w+_\w+)` \|", page):
        assert Path(f"sql/queries/{query}.sql").exists(), query


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page} links to {target}"


def test_every_query_is_run_by_somebody():
    code = "\n".join(
        path.read_text() for folder in ("layers", "functions", "local", "cli") for path in Path(folder).rglob("*.py")
    )
    for query in Path("sql/queries").glob("*.sql"):
        assert f'"{query.stem}"' in code, query


def test_commands_name_outputs_and_parameters_of_the_template():
    template = yaml_parse(Path("template.yaml").read_text())
    pages = "\n".join(page.read_text() for page in PAGES)
    outputs = set(re.findall(r"\$\(output (\w+)\)", pages)) | set(re.findall(r"outputs? `(\w+)`", pages))
    assert outputs >= {"DatabaseId", "VpcId"}
    assert outputs <= template["Outputs"].keys()
    parameters = set(re.findall(r"\b([A-Z][a-z]+[A-Za-z]*)=", pages))
    parameters -= {"OutputKey", "AttributeKey", "AttributeValue"}  # the AWS command line's own
    assert parameters >= {"Shape", "Egress"}
    assert parameters <= template["Parameters"].keys()


def test_the_scale_page_counts_the_indexes_of_a_run():
    migrations = "\n".join(path.read_text() for path in Path("sql/jobs").glob("*.sql"))
    indexes = re.findall(r"INDEX (\w+) ON job_runs ", migrations)
    assert {"job_runs_one_live", "job_runs_completed"} < set(indexes)
    assert 1 + len(indexes) == 14  # with the primary key
    assert "Of the fourteen indexes a run is in eleven" in Path("docs/scale.md").read_text()


def test_a_class_takes_as_many_connections_on_a_page_as_in_the_template():
    connections = yaml_parse(Path("template.yaml").read_text())["Mappings"]["Connections"]
    said = [
        (name, int(number.replace(",", "")))
        for page in PAGES
        for name, number in re.findall(r"`(db\.[\w.]+)` with ([\d,]+)", page.read_text())
    ]
    assert len(said) >= 3
    for name, number in said:
        assert connections[name]["Most"] == number, name


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_commands_of_one_block_mean_one_stack_and_tell_it_something_new(page):
    """Without --config-env and --stack-name sam means [default]'s, whatever the other lines say."""
    config = tomllib.loads(Path("samconfig.toml").read_text())
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
        meant = set(re.findall(r"--stack(?:-name)? (\S+)", block))
        for command in re.findall(r"sam (?:deploy|delete)\b.*", block):
            named = re.search(r"--config-env (\w+)", command)
            stage = config[named[1] if named else "default"]
            if named or "--stack-name" not in command:
                meant.add(stage["global"]["parameters"]["stack_name"])
            told = stage["deploy"]["parameters"].get("parameter_overrides", [])
            assert not set(command.split()) & set(told), command
        assert len(meant) <= 1, block


def test_the_way_out_of_a_vpc_leads_to_all_that_a_function_in_it_calls():
    resources = yaml_parse(Path("template.yaml").read_text())["Resources"]
    allowed = [
        resource["Properties"].get("Policies") or resource["Properties"].get("PolicyDocument")
        for resource in resources.values()
        if resource["Type"] in ("AWS::Serverless::Function", "AWS::IAM::ManagedPolicy")
    ]
    services = set(re.findall(r"'Action': '([\w-]+):", str(allowed))) - {"rds-db"}
    words = {
        "sqs": "SQS", "secretsmanager": "Secrets Manager", "kms": "KMS", "ses": "SES", "events": "EventBridge",
        "logs": "CloudWatch Logs",
    }  # fmt: skip
    [way_out] = re.findall(r"^- The subnets need a way out.*?(?=^- )", Path("docs/deploy.md").read_text(), re.M | re.S)
    said = " ".join(way_out.split())
    assert services == words.keys()
    # CloudFormation's answer, the providers, and who signs the tokens ask for no policy.
    for name in [*words.values(), "S3", "RevenueCat", "`JwksUrl`"]:
        assert name in said, name


@pytest.mark.parametrize("name", ["api.md", "configuration.md"])
def test_pages_that_follow_from_code_were_made_anew(name):
    assert Path("docs", name).read_text() == reference.pages()[name], "make docs"
