"""A log line as the functions write it."""

import json

import pytest

from nightshift.base.logger import MAX_FIELD, _line
from nightshift.testing.rows import run_row, work
from tests.support.world import trigger


@pytest.mark.parametrize("field", ["message", "exception", "anything"])
def test_a_field_is_cut_in_its_middle_and_says_how_much_is_missing(field):
    line = json.loads(_line({"level": "ERROR", field: "begin" + "x" * 1_000_000 + "end"}))
    assert line["level"] == "ERROR"
    assert line[field].startswith("begin")
    assert line[field].endswith("end")
    assert "characters left out" in line[field]
    assert len(line[field]) < MAX_FIELD + 100


def test_what_is_short_stays_and_half_a_surrogate_costs_itself_alone():
    assert json.loads(_line({"message": "日本 \ud800", "n": 1, "s": "y" * MAX_FIELD})) == {
        "message": "日本 ?",
        "n": 1,
        "s": "y" * MAX_FIELD,
    }


def test_an_exception_that_quotes_megabytes_fails_its_run_in_a_sentence(cloud, db, owner, team, job):
    def quoting(run, steps_db):
        raise ValueError("x" * 5_000_000)
        yield

    row = trigger(team, job_type=job(quoting), db=db, settings=cloud)
    work(row["id"], 0, db=db, settings=cloud)
    assert len(run_row(owner, row["id"])["error"]) <= 2_000
