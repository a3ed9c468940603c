"""Generate docs/api.md from the OpenAPI document and docs/configuration.md from the template.

``make docs`` writes the pages; a test fails if one is out of date.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from local.deployment.template import load
from local.ports import Ports

DOCS = Path(__file__).parent.parent / "docs"
TEMPLATE = DOCS.parent / "template.yaml"
# The folder of the API function's own modules.
API = DOCS.parent / "functions/api"

Json = dict[str, Any]

# Statuses that any request may return. The page lists them once.
ANYWHERE = ("413", "429", "500", "503")

ABOUT_THE_API = """\
Every request except `/v1/health`, `/v1/openapi.json` and those that sign in needs `Authorization: Bearer …` with an
agent key (`owl_agent_…`), a user's JWT or a session's token (`owl_session_…`). The dashboard's page has a session's
cookie instead, which counts only with the header `X-Nightshift: 1` and the dashboard's `Origin`. Every answer is
JSON. An error is `{"error": "<sentence>"}` and may have further
fields of [Error](#error). Errors from API Gateway itself (429, or a function that did not answer) have the sentence in
`message` instead, because API Gateway does not let us rename that field. Clients poll a run every two seconds until
its status is neither `pending` nor `running`. Any request may be answered with 413, 429, 500 or 503.

A request body has at most 65,536 bytes and 32 levels of nested objects and lists. A method that a path does not support
is answered with 405 and `Allow`; paths that support GET also support HEAD. Answers are compressed for clients that send
`Accept-Encoding: gzip`. [`RunsPerMinute`](configuration.md) limits the runs that a team can create within a minute.
Further triggers are answered with 429 and a `Retry-After` header. Refused triggers and repeats under an
`Idempotency-Key` do not count.

```sh
curl -H "Authorization: Bearer $key" "$api/v1/teams/$team/jobs?status=running&since=1h"
```
""".splitlines()


def main() -> None:
    for name, page in pages().items():
        (DOCS / name).write_text(page)


def pages() -> dict[str, str]:
    """Return each page's text by file name."""
    made = {"api.md": api_page(_document()), "configuration.md": configuration_page()}
    return {name: "\n".join(lines) + "\n" for name, lines in made.items()}


def api_page(document: Json) -> Iterator[str]:
    schemas = document["components"]["schemas"]
    yield "# HTTP API"
    yield ""
    yield "Generated from the document at `/v1/openapi.json` by `make docs`."
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
        optional = "" if field in required else "Optional. "
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
        document: Json = import_module("api.openapi").document()
    finally:
        sys.path.remove(str(API))
    return document


def configuration_page() -> Iterator[str]:
    template = load(TEMPLATE)
    parameters = template["Parameters"]
    yield "# Configuration"
    yield ""
    yield "The parameters of `template.yaml`; [deploy.md](deploy.md) shows how to set them. Generated by `make docs`."
    for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]:
        yield ""
        yield f"## {group['Label']['default']}"
        yield ""
        yield "| parameter | default | |"
        yield "|---|---|---|"
        for name in group["Parameters"]:
            yield _parameter(name, parameters[name])
    yield ""
    yield "## Local stack"
    yield ""
    yield "| variable | default | |"
    yield "|---|---|---|"
    for name, port in asdict(Ports()).items():
        yield f"| `NIGHTSHIFT_{name.upper()}_PORT` | `{port}` | port that `make run` listens on |"
    yield "| `NIGHTSHIFT_DEMO` | `1` | `0` lets `make run` start without the demo sync |"
    yield "| `PYTHON` | `python3` | Python that `make` creates `.venv` with |"
    yield ""
    yield "For the command line's settings see [cli.md](cli.md)."


def _parameter(name: str, parameter: Json) -> str:
    default = parameter.get("Default")
    shown = "none (required)" if default is None else "empty" if default == "" else f"`{default}`"
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
