"""Translate template.yaml from SAM to CloudFormation, as AWS does at a deployment. `make template` runs this module."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

Template = dict[str, Any]

PATH = Path("template.yaml")


def load(path: Path) -> Template:
    """Return the template with its short forms (``!Ref``) expanded."""
    template: Template = yaml_parse(path.read_text())
    return template


def code_of(template: Template) -> Iterator[tuple[str, Template, str]]:
    """Yield each resource with a folder of its own: logical id, properties, and the name of the folder's property."""
    for logical_id, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        for name in ("CodeUri", "ContentUri"):
            if name in properties:
                yield logical_id, properties, name


def translate(template: Template, *, package: Callable[[str, str], dict[str, str]], session: boto3.Session) -> Template:
    """Translate the template. ``package`` takes a logical id and its folder and returns Bucket and Key in S3.

    The one folder of all functions comes under the id ``Functions``.
    """
    of_all = template["Globals"]["Function"]
    of_all["CodeUri"] = package("Functions", of_all["CodeUri"])
    for logical_id, properties, name in code_of(template):
        properties[name] = package(logical_id, properties[name])
    translated: Template = Translator({}, Parser(), boto_session=session).translate(template, {})
    return translated


def _nowhere(logical_id: str, folder: str) -> dict[str, str]:
    return {"Bucket": "a-bucket-name", "Key": "key"}


if __name__ == "__main__":
    session = boto3.Session(region_name="us-east-1")
    print(json.dumps(translate(load(PATH), package=_nowhere, session=session), indent=2))
