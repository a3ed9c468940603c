"""JSON passes through the command line with every digit. Too deeply nested JSON gives a readable error."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift_cli.base import exact
from tests.support.cli_world import PROJECT, RUN, TEAM, Nightshift, Script, run

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(VALUES, st.booleans())
def test_what_json_can_hold_is_written_as_json_writes_it(value: Any, ascii_only: bool) -> None:
    assert exact.write(value, ascii_only=ascii_only) == json.dumps(value, ensure_ascii=ascii_only)
    assert exact.write(value, indented=True) == json.dumps(value, ensure_ascii=False, indent=2)
    assert exact.read(exact.write(value)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_no_number_is_rounded(number: Decimal) -> None:
    assert Decimal(exact.write(exact.read(str(number).lower().lstrip("+")))) == number


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "[" * 400 + "]" * 400, "[" * 200_000, "1e" + "9" * 30, ""]
)
def test_what_is_not_json_or_without_bounds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        exact.read(text)


ODD = (
    '{"big": 9007199254740993, "float": 0.30000000000000004, "long": 0.1000000000000000055511151231257827,'
    ' "beyond": 1e400, "small": 1e-7, "zero": -0.0, "digits": "00012345678901234567890", "yes": true, "none": null,'
    ' "empty": "", "__proto__": {"deep": [1, [2, {"x": 1e22}]]}, "ids": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]}'
)


def test_a_result_is_shown_as_it_is(api: Script, nightshift: Nightshift) -> None:
    text = json.dumps({"job_run": run("completed", result="RESULT", params={"n": "true", "m": True, "s": "x"})})
    api.answers[f"GET /v1/jobs/{RUN}"] = [(200, text.replace('"RESULT"', ODD).encode(), "application/json")]
    shown = json.loads(nightshift("jobs", "view", RUN, "--format", "json").stdout, parse_float=Decimal)
    assert shown["result"] == json.loads(ODD, parse_float=Decimal)
    lines = [line.strip() for line in nightshift("jobs", "view", RUN).stdout.splitlines()]
    for line in (
        "result        Big: 9,007,199,254,740,993",
        "Float: 0.30000000000000004",
        "Long: 0.1000000000000000055511151231257827",
        "Beyond: 1E+400",
        "Small: 1e-07",
        "Zero: -0.0",
        "Digits: 00012345678901234567890",
        "Yes: yes",
        "None: —",
        'Empty: ""',
        'Proto: deep: [1, [2, {"x": 1e+22}]]',
        "Ids: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 1 more",
        'params        n="true"',
        "m=true",
        "s=x",
    ):
        assert line in lines, (line, lines)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("0.1000000000000000055511151231257827", b"0.1000000000000000055511151231257827"),
        ("9007199254740993", b"9007199254740993"),
        ("1e400", b'"1e400"'),
        ("NaN", b'"NaN"'),
        ('"5"', b'"5"'),
    ],
)
def test_a_parameter_is_sent_as_it_was_typed(api: Script, nightshift: Nightshift, given: str, sent: bytes) -> None:
    api.on(f"POST /v1/teams/{TEAM}/jobs/trigger", {"job_run": run()}, status=201)
    nightshift("jobs", "trigger", "x", "--project", PROJECT, "--param", f"n={given}")
    assert b'"params": {"n": ' + sent + b"}" in api.bodies[-1]


@pytest.mark.parametrize("depth", [400, 100_000])
def test_an_answer_nested_without_end_is_a_sentence(api: Script, nightshift: Nightshift, depth: int) -> None:
    text = '{"job_run": ' + "[" * depth + "]" * depth + "}"
    api.answers[f"GET /v1/jobs/{RUN}"] = [(200, text.encode(), "application/json")]
    ended = nightshift("jobs", "view", RUN)
    assert ended.exit_code == 5
    assert "instead of JSON: it is nested too deeply. Check the URL." in ended.stderr


def test_a_result_may_be_deep(api: Script, nightshift: Nightshift) -> None:
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    api.runs(run("completed", result={"deep": deep}))
    assert json.loads(nightshift("jobs", "view", RUN, "--format", "json").stdout)["result"]["deep"] == deep
    assert "Deep: [[[[[[" in nightshift("jobs", "view", RUN).stdout
