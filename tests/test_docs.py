"""What the pages name exists."""

import re
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

from local import reference

PAGES = [Path("README.md"), *Path("docs").glob("*.md")]


def test_the_protocols_page_names_tests_and_statements_that_are_there():
    page = Path("docs/protocol.md").read_text()
    tests = "\n".join(path.read_text() for path in Path("tests").glob("test_*.py"))
    for file, name in re.findall(r"`(test_\w+)::(…?\w+…?)`", page):
        source = Path(f"tests/{file}.py").read_text()
        assert re.search(rf"def \w*{name.strip('…')}", source), f"{file}::{name}"
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


@pytest.mark.parametrize("name", ["api.md", "configuration.md"])
def test_pages_that_follow_from_code_were_made_anew(name):
    assert Path("docs", name).read_text() == reference.pages()[name], "make docs"
