"""The parameter Schedules, as the migrate function reads it."""

import pytest

from nightshift.base.errors import ConfigurationError
from nightshift.jobs.registry import JOB_TYPES
from nightshift.schedules.cron import from_five_fields
from nightshift.schedules.entries import with_usual_schedules


def usual():
    return {
        name: "" if job_type.opt_in else from_five_fields(job_type.schedule).eventbridge
        for name, job_type in JOB_TYPES.items()
        if job_type.schedule
    }


def test_a_job_without_an_entry_has_its_usual_schedule():
    assert with_usual_schedules("") == usual()
    assert with_usual_schedules("db_pruning=cron(0 2 * * ? *)") == usual() | {"db_pruning": "cron(0 2 * * ? *)"}


def test_a_job_whose_entry_says_never_has_none():
    assert with_usual_schedules("db_pruning=never; partition_creation=never;") == usual() | {
        "db_pruning": "",
        "partition_creation": "",
    }


def test_the_retention_is_off_until_it_has_an_entry():
    assert with_usual_schedules("")["retention_cleanup"] == ""
    assert with_usual_schedules("db_pruning=never")["retention_cleanup"] == ""
    on = with_usual_schedules("retention_cleanup=cron(0 2 * * ? *)")
    assert on == usual() | {"retention_cleanup": "cron(0 2 * * ? *)"}
    assert [name for name, job_type in JOB_TYPES.items() if job_type.opt_in] == ["retention_cleanup"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("db_pruning", "Schedules has an entry without a time, 'db_pruning': write a job's name, an equals sign, and"),
        ("db_pruning=", "Schedules has an entry without a time, 'db_pruning='"),
        ("cron(0 2 * * ? *)", r"Schedules has an entry without a time, 'cron\(0 2 \* \* \? \*\)'"),
        (
            "db_prune=never",
            "Schedules has an entry for 'db_prune', which has no schedule: use one of db_pruning, partition_creation, "
            "retention_cleanup, soft_delete_cleanup$",
        ),
        ("revenuecat_sync=cron(0 2 * * ? *)", "Schedules has an entry for 'revenuecat_sync', which has no schedule"),
        ("db_pruning=never; db_pruning=cron(0 2 * * ? *)", "Schedules has two entries for db_pruning: remove one"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named(text, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        with_usual_schedules(text)
