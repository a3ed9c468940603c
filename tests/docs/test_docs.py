"""Everything that the pages name exists."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from api import parsing
from local.deployment.template import PATH, load
from nightshift.base.settings import Settings
from nightshift.database.queries import query_files
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from tools import reference, schema_page

PAGES = [*Path().glob("*.md"), *Path("docs").rglob("*.md")]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings of ``page``."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    titles = [
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.M)
    ]
    assert len(set(titles)) == len(titles), f"{page} has two headings with one anchor"
    return set(titles)


def test_the_protocols_page_names_tests_and_statements_that_are_there():
    page = Path("docs/protocol.md").read_text()
    tests = "\n".join(path.read_text() for path in Path("tests").rglob("test_*.py"))
    for file, name in re.findall(r"`(test_\w+)::(…?\w+…?)`", page):
        source = next(Path().glob(f"[tf]*/**/{file}.py")).read_text()
        assert re.search(rf"(def|class) \w*{name.strip('…')}", source), f"{file}::{name}"
    for name in re.findall(r"`…(\w+)`", page):
        assert re.search(rf"def \w*{name}", tests), name
    for query in re.findall(r"\| `(\w+_\w+)` \|", page):
        assert query in query_files(), query


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{page} links to {target}"
        assert not anchor or anchor in anchors(linked), f"{page} links to {target}"


def test_every_query_is_run_by_somebody():
    code = "\n".join(
        path.read_text() for folder in ("functions", "local", "nightshift_cli") for path in Path(folder).rglob("*.py")
    )
    for query in query_files():
        assert f'"{query}"' in code, query


def test_commands_name_outputs_and_parameters_of_the_template():
    template = load(PATH)
    pages = "\n".join(page.read_text() for page in PAGES)
    outputs = set(re.findall(r"\$\(output (\w+)\)", pages)) | set(re.findall(r"outputs?\s+`(\w+)`", pages))
    assert outputs >= {"DatabaseId", "VpcId"}
    assert outputs <= template["Outputs"].keys()
    parameters = set(re.findall(r"\b([A-Z][a-z]+[A-Za-z]*)=", pages))
    parameters -= {"OutputKey", "AttributeKey", "AttributeValue"}  # parameters of the AWS command line itself
    assert parameters >= {"Shape", "Egress"}
    assert parameters <= template["Parameters"].keys()


def test_the_schema_page_is_the_catalogues(owner):
    text = schema_page.page(owner)
    assert Path("docs/schema.md").read_text() == text, "make docs"
    assert "|  |" not in text, "an index or a table without COMMENT ON"
    assert not re.search(r"^## \w+[^\n]*\n\n", text.partition("## What each role")[0], re.MULTILINE), (
        "a table without COMMENT ON"
    )


def test_the_scale_page_counts_the_indexes_of_a_run():
    migrations = "\n".join(path.read_text() for path in Path("sql/jobs").glob("*.sql"))
    indexes = dict(re.findall(r"INDEX (\w+) ON job_runs [^;]*?WHERE ([^;]+);", migrations))
    conditions = list(indexes.values())
    assert 1 + len(indexes) == len(re.findall(r"INDEX \w+ ON job_runs ", migrations)) + 1 == 14  # and the primary key
    assert 1 + conditions.count("completed_at IS NULL") == 4
    assert 1 + conditions.count("completed_at IS NOT NULL") == 6
    others = {indexes[f"job_runs_{name}"] for name in ("idempotency", "failed", "untold", "held", "rerun")}
    assert len(others) == 5
    assert others | {"completed_at IS NULL", "completed_at IS NOT NULL"} == set(conditions)
    page = " ".join(Path("docs/scale.md").read_text().split())
    assert (
        "Of the fourteen indexes, a live run is in four and an ended one in six. Beside these, a run is in five" in page
    )


def test_a_class_takes_as_many_connections_on_a_page_as_in_the_template():
    connections = load(PATH)["Mappings"]["Connections"]
    said = [
        (name, int(number.replace(",", "")))
        for page in PAGES
        for name, number in re.findall(r"`(db\.[\w.]+)` with ([\d,]+)", page.read_text())
    ]
    assert len(said) >= 3
    for name, number in said:
        assert connections[name]["Most"] == number, name


def test_a_new_stack_is_asked_as_many_questions_as_the_page_says_and_needs_no_answer():
    parameters = load(PATH)["Parameters"]
    page = " ".join(Path("docs/deploy.md").read_text().split())
    assert f"asks for each of the {len(parameters)} parameters" in page
    assert all("Default" in parameter for parameter in parameters.values())


def test_a_trial_stack_without_questions_has_what_its_stage_says():
    trial = tomllib.loads(Path("samconfig.toml").read_text())["default"]["deploy"]["parameters"]
    [command] = re.findall(r"sam deploy --parameter-overrides MailFrom=.*\n.*", Path("docs/deploy.md").read_text())
    assert set(trial["parameter_overrides"]) < set(command.split())


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_commands_of_one_block_mean_one_stack_and_tell_it_something_new(page):
    """Without --config-env and --stack-name, sam uses the stack of [default], even if other lines name another."""
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
    resources = load(PATH)["Resources"]
    allowed = [
        resource["Properties"].get("Policies") or resource["Properties"].get("PolicyDocument")
        for resource in resources.values()
        if resource["Type"] in ("AWS::Serverless::Function", "AWS::IAM::ManagedPolicy")
    ]
    services = set(re.findall(r"'Action': '([\w-]+):", str(allowed))) - {"rds-db"}
    words = {
        "sqs": "SQS", "secretsmanager": "Secrets Manager", "kms": "KMS", "ses": "SES", "events": "EventBridge",
        "logs": "CloudWatch Logs", "sns": "SNS", "lambda": "Lambda",
    }  # fmt: skip
    [way_out] = re.findall(r"^- The subnets need a way out.*?(?=^- )", Path("docs/deploy.md").read_text(), re.M | re.S)
    said = " ".join(way_out.split())
    assert services == words.keys()
    # Answers to CloudFormation, and calls to providers and token issuers, need no policy.
    for name in [*words.values(), "S3", "RevenueCat", "`JwksUrl`"]:
        assert name in said, name


@pytest.mark.parametrize("name", ["api.md", "configuration.md"])
def test_pages_that_follow_from_code_were_made_anew(name):
    assert Path("docs", name).read_text() == reference.pages()[name], "make docs"


def test_each_decision_has_its_headings_and_its_line_in_the_index():
    index = Path("docs/decisions/README.md").read_text()
    decisions = sorted(Path("docs/decisions").glob("[0-9]*.md"))
    for number, path in enumerate(decisions, 1):
        text = path.read_text()
        title, date = re.match(rf"# ({number:04}\. .+)\n\nDate: (\d{{4}}-\d\d-\d\d)\n", text).groups()
        headings = re.findall(r"^## (.+)$", text, re.M)
        assert headings[:3] == ["Context", "Decision", "Consequences"], path
        assert headings[3:] in ([], ["Alternatives"]), path
        assert f"| [{title}]({path.name}) | {date} |\n" in index
        assert path.name.startswith(f"{number:04}-")
    assert index.count("\n| [") == len(decisions)


def test_the_index_leads_to_every_page():
    index = Path("docs/README.md")
    linked = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#]+)", index.read_text())}
    pages = {page.resolve() for page in PAGES} - {index.resolve(), Path("README.md").resolve()}
    # A folder has an index of its own.
    wanted = {page for page in pages if page.parent in (index.parent.resolve(), Path.cwd()) or page.name == "README.md"}
    assert wanted == linked - {Path("README.md").resolve()}


# The files of the two examples in docs/write-a-job.md.
OF_THE_EXAMPLE = {
    f"functions/nightshift_jobs/quiet_users/{name}"
    for name in ("", "__init__.py", "job.py", "mark_quiet_users.sql", "test_quiet_users.py")
} | {f"functions/nightshift_jobs/acme_export/{name}" for name in ("__init__.py", "acme.py", "job.py")}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_paths_and_targets_of_make_are_there(page):
    text = page.read_text()
    paths = re.findall(
        r"`((?:bench|nightshift_cli|docs|tools|events|functions|layers|local|sql|tests)/[\w./-]+)`", text
    )
    assert [path for path in paths if not Path(path).exists() and path not in OF_THE_EXAMPLE] == []
    makefile = Path("Makefile").read_text()
    targets = re.findall(r"(?:`|^)make ([a-z -]+)", text, re.M)
    for target in " ".join(targets).split():
        assert re.search(rf"^{target}:", makefile, re.M), f"make {target}"


# The files of this repository and of the example, by every end of their paths: executor.py, runs/executor.py …
FILES = {
    path.parts[-count:]
    for path in (*Path().rglob("*.*"), *map(Path, OF_THE_EXAMPLE))
    if not {".venv", ".local", ".aws-sam"} & set(path.parts)
    for count in range(1, len(path.parts) + 1)
}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_files_that_a_page_names_are_there(page):
    named = set(re.findall(r"(?<![\w/.$-])((?:\w+/)*\w+\.(?:py|sql|toml|yaml))\b", page.read_text()))
    assert {name for name in named if tuple(name.split("/")) not in FILES} == set()


def test_the_upgrade_page_names_what_a_removed_stack_leaves():
    resources = load(PATH)["Resources"]
    kept = {name for name, resource in resources.items() if resource.get("DeletionPolicy", "Delete") != "Delete"}
    [table] = re.findall(r"^\| left behind .*?\n\n", Path("docs/upgrade.md").read_text(), re.M | re.S)
    assert set(re.findall(r"\(`(\w+)`\)", table)) == kept


@pytest.mark.parametrize("name", ["platform.md", "security.md"])
def test_a_page_about_rights_names_every_function(name):
    functions = {path.parent.name for path in Path("functions").glob("*/app.py")}
    rows = re.findall(r"^\| (\w+)(?:, \w+ job)? \|", Path("docs", name).read_text(), re.M)
    assert functions <= set(rows)


def test_numbers_on_pages_are_those_of_the_settings():
    defaults = {field.name: field.default for field in fields(Settings)}
    parameters = load(PATH)["Parameters"]
    longest = {job.name: job.max_duration_s // 86_400 for job in JOB_TYPES.values()}
    words = {1: "a day", 2: "two", 3: "three", 5: "five"}
    day, sync = words[JobType.max_duration_s // 86_400], words[longest["revenuecat_sync"]]
    said = {
        "concepts.md": [
            f"After about {defaults['slice_budget_s']:.0f} seconds",
            f"after {words[defaults['resend_delay_s'] // 60]} minutes, then at growing intervals up to an hour",
            f"After {words[defaults['lost_slices_limit']]} lost slices in a row",
            f"By default it may last {day}, the sync {sync}",
        ],
        "security.md": [
            f"at most {parsing.MAX_BODY_BYTES // 1024} KiB",
            f"`RunsPerMinute` runs within a minute ({parameters['RunsPerMinute']['Default']} by default)",
            f"`LogRetentionDays` ({parameters['LogRetentionDays']['Default']} by default)",
            f"`RetentionDays` ({parameters['RetentionDays']['Default']} by default)",
        ],
        "operate.md": [f"`MailsPerTeamAndHour` mails an hour ({defaults['mails_per_team_and_hour']} by default)"],
    }
    for name, sentences in said.items():
        page = " ".join(Path("docs", name).read_text().split())
        assert [sentence for sentence in sentences if sentence not in page] == [], name
