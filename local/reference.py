"""Pages that follow from code: docs/api.md from the OpenAPI document, docs/configuration.md from the template.

``make docs`` writes them; a test finds those that were not written again.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from local.stack import Ports
from local.template import load

DOCS = Path(__file__).parent.parent / "docs"
TEMPLATE = DOCS.parent / "template.yaml"
# Where the API's own modules are, as they lie in its function.
API = DOCS.parent / "functions/api"

Json = dict[str, Any]

# Which every request may be answered with: said once.
ANYWHERE = ("413", "429", "500", "503")

ABOUT_THE_API = """\
Every request but those for `/v1/health` and `/v1/openapi.json` carries `Authorization: Bearer …`: an agent key
(`owl_agent_…`) or a user's JWT. Every answer is JSON; an error is `{"error": "<sentence>"}`, with named fields of
[Error](#error) where they say more. Where API Gateway answers in our place, with 429 or because a function did not
answer it, the sentence is called `message`: it lets nobody change that. Clients poll a run every two seconds, and stop
at any status but `pending` and `running`. Any request may be answered with 413, 429, 500 or 503.

A request body has at most 65,536 bytes and 32 levels of objects and lists. A path answers a method that it does not
take with 405 and `Allow`; HEAD is taken where GET is. Answers are compressed for clients that send
`Accept-Encoding: gzip`. A team may make as many runs within a minute as [`RunsPerMinute`](configuration.md) says; after
that a trigger is answered with 429, and `Retry-After` says when to come back. Refusals and repeats under an
`Idempotency-Key` are not counted.

```sh
curl -H "Authorization: Bearer $key" "$api/v1/teams/$team/jobs?status=running&since=1h"
```
""".splitlines()


def main() -> None:
    for name, page in pages().items():
        (DOCS / name).write_text(page)


def pages() -> dict[str, str]:
    """File name to text."""
    made = {"api.md": api_page(_document()), "configuration.md": configuration_page()}
    return {name: "\n".join(lines) + "\n" for name, lines in made.items()}


def api_page(document: Json) -> Iterator[str]:
    schemas = document["components"]["schemas"]
    yield "# HTTP API"
    yield ""
    yield "Made from the document at `/v1/openapi.json` (`make docs`)."
    yield ""
    yield from ABOUT_THE_API
    yield ""
    reasons: dict[str, str] = {}
    for methods in document["paths"].values():
        for operation in methods.values():
            reasons |= {status: answer["description"] for status, answer in operation["responses"].items()}
    yield "| error | |"
    yield "|---|---|"
    yield from (f"| {status} | {reason} |" for status, reason in sorted(reasons.items()) if status >= "400")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield from _operation(f"{method.upper()} {path}", operation)
    yield ""
    yield "## Shapes"
    for name in sorted(schemas):
        yield from _schema(name, schemas[name])


def _operation(title: str, operation: Json) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield f"{operation['summary']}."
    asked = [each for each in operation["parameters"] if each["in"] != "path"]
    if asked:
        yield ""
        yield "| | in | type | |"
        yield "|---|---|---|---|"
        yield from (
            f"| `{each['name']}` | {each['in']} | {_kind(each['schema'])} | {each['description']} |" for each in asked
        )
    if "requestBody" in operation:
        yield ""
        yield f"Takes {_kind(_content(operation['requestBody']))}."
    yield ""
    for status, answer in operation["responses"].items():
        if status < "400":
            errors = [each for each in operation["responses"] if each >= "400" and each not in ANYWHERE]
            yield f"Answers {status} with {_kind(_content(answer))}" + (f", or {', '.join(errors)}." if errors else ".")


def _schema(name: str, schema: Json) -> Iterator[str]:
    yield ""
    yield f"### {name}"
    if description := schema.get("description"):
        yield description.replace("\n", " ").replace("``", "`")
    yield ""
    yield "| field | type | |"
    yield "|---|---|---|"
    required = schema.get("required", [])
    for field, of in schema.get("properties", {}).items():
        optional = "" if field in required else "may be left out. "
        yield f"| `{field}` | {_kind(of)} | {optional}{of.get('description', '')} |".replace("  |", " |")


def _kind(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    if schema.get("format") == "uuid":
        return "UUID"
    if schema.get("format") == "date-time":
        return "ISO 8601"
    if schema.get("pattern", "").startswith(r"^\d{4}-"):
        return "ISO 8601 in UTC, with milliseconds"
    return str(schema.get("type", "any JSON"))


def _content(answer: Json) -> Json:
    schema: Json = answer["content"]["application/json"]["schema"]
    return schema


def _document() -> Json:
    sys.path.insert(0, str(API))
    try:
        document: Json = import_module("openapi").document()
    finally:
        sys.path.remove(str(API))
    return document


def configuration_page() -> Iterator[str]:
    template = load(TEMPLATE)
    parameters = template["Parameters"]
    yield "# Configuration"
    yield ""
    yield "The parameters of `template.yaml`, from which this page is made (`make docs`); [how to set them](deploy.md)."
    for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]:
        yield ""
        yield f"## {group['Label']['default']}"
        yield ""
        yield "| parameter | default | |"
        yield "|---|---|---|"
        for name in group["Parameters"]:
            yield _parameter(name, parameters[name])
    yield ""
    yield "## On one machine"
    yield ""
    yield "| variable | default | |"
    yield "|---|---|---|"
    for name, port in asdict(Ports()).items():
        yield f"| `NIGHTSHIFT_{name.upper()}_PORT` | `{port}` | where `make run` listens |"
    yield "| `PYTHON` | `python3` | what `make` builds `.venv` with |"
    yield ""
    yield "The command line's own settings: [cli.md](cli.md)."


def _parameter(name: str, parameter: Json) -> str:
    default = parameter.get("Default")
    shown = "none: it has to be given" if default is None else "empty" if default == "" else f"`{default}`"
    text = " ".join(parameter["Description"].split()).replace("|", "\\|")
    allowed = parameter.get("AllowedValues", [])
    if 1 < len(allowed) <= 8:
        text += ": " + ", ".join(f"`{value}`" for value in allowed)
    bounds = [
        f"{word} {parameter[key]}" for word, key in (("from", "MinValue"), ("to", "MaxValue")) if key in parameter
    ]
    limits = f" ({' '.join(bounds)})" if bounds else ""
    return f"| `{name}` | {shown} | {text}{limits} |"


if __name__ == "__main__":
    main()
