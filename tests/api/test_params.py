"""Params as clients send them: typed, or every value as text."""

from typing import Annotated, Literal

import pytest
from annotated_types import Ge
from pydantic import Field, ValidationError

from nightshift.base.validation import refusal
from nightshift.jobs.params import NoParams
from nightshift_jobs.revenuecat_sync.params import RevenueCatSyncParams


class Every(NoParams):
    switch: bool = False
    count: Annotated[int, Ge(1)] | None = None
    share: float = 0.0
    level: Literal[1, 2, 3] = 1
    bounded: int = Field(default=5, ge=1, le=10)
    name: str = ""
    either: int | str = 0


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        *[({"switch": text}, True) for text in ("true", "True", "TRUE", " true ")],
        *[({"switch": text}, False) for text in ("false", "False", "FALSE")],
        *[({"count": text}, 5) for text in ("5", "+5", "005", " 5 ")],
        *[({"share": text}, 0.5) for text in ("0.5", ".5", "5e-1", "5E-01")],
        ({"share": "-2"}, -2.0),
        ({"share": "2."}, 2.0),
        ({"level": "2"}, 2),
        ({"bounded": "10"}, 10),
        # Text stays text if a field accepts text.
        ({"name": "true"}, "true"),
        ({"name": "5"}, "5"),
        ({"either": "5"}, "5"),
        # Typed values stay unchanged.
        ({"switch": True}, True),
        ({"count": None}, None),
        ({"share": 1.5}, 1.5),
    ],
)
def test_a_value_is_read_as_its_field_is_meant(given, taken):
    [name] = given
    value = getattr(Every.model_validate(given), name)
    assert (value, type(value)) == (taken, type(taken))


@pytest.mark.parametrize(
    "given",
    [
        *[{"switch": value} for value in ("yes", "1", "on", "", "truee", "t", 1, 0, None)],
        *[
            {"count": value}
            for value in ("five", "", "5.0", "1e3", "0x5", "\u0661", "5_000", "--5", "true", 5.0, "0", "-1")
        ],
        *[{"share": value} for value in ("nan", "inf", "-Infinity", "1e999", "", ".", "1_0", "0,5")],
        *[{"level": value} for value in ("4", "two", "1.0")],
        {"bounded": "11"},
        {"bounded": "9" * 5000},
    ],
)
def test_what_is_no_such_value_stays_refused(given):
    with pytest.raises(ValidationError) as caught:
        Every.model_validate(given)
    [name] = given
    assert refusal(caught.value, prefix="params").startswith(f"params.{name} must be")


def test_unknown_fields_are_refused_with_those_that_exist():
    with pytest.raises(ValidationError) as caught:
        RevenueCatSyncParams.model_validate({"sandbox": "true"})
    said = 'params.sandbox is not a known field, got "true". Known: include_sandbox, mode'
    assert refusal(caught.value, prefix="params", model=RevenueCatSyncParams) == said
    with pytest.raises(ValidationError) as caught:
        NoParams.model_validate({"x": 1})
    assert (
        refusal(caught.value, prefix="params", model=NoParams) == "params.x is not a known field, got 1. It takes none."
    )


def test_the_schema_offers_the_types_and_not_their_texts():
    properties = Every.model_json_schema()["properties"]
    assert properties["switch"]["type"] == "boolean"
    assert properties["share"]["type"] == "number"
