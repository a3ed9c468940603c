"""Say how to extend template.yaml for a scheduled job, so that the stack gets the job's rule and its alarm."""

import re
from dataclasses import dataclass
from pathlib import Path

from nightshift.schedules.cron import Cron
from nightshift_cli.base.failures import Misconfigured
from nightshift_cli.session import here

TEMPLATE = Path("template.yaml")
# The resources that the loop makes of a word.
MADE = ("Rule", "RulePermission", "FailedAlarm")


@dataclass(frozen=True)
class Additions:
    word: str
    """A word for the list of Fn::ForEach::SystemJobs."""
    line: str
    """A line for SystemJobs in Mappings."""


def additions_for(name: str, *, schedule: Cron) -> Additions:
    """Return the additions for a job. Raise Misconfigured if a resource of the template has one of its names."""
    word = "".join(part.capitalize() for part in name.split("_"))
    try:
        template = TEMPLATE.read_text()
    except OSError:
        raise Misconfigured(f"{here()} is not a checkout of Nightshift: {TEMPLATE} is missing.") from None
    if found := re.search(rf"^ +({word}(?:{'|'.join(MADE)})):", template, re.MULTILINE):
        raise Misconfigured(f"{TEMPLATE} already has {found[1]}: choose another name.")
    fields = schedule.eventbridge.removeprefix("cron(").removesuffix(")")
    return Additions(word, f'{word}: {{ JobType: {name}, Entry: " {name}=cron(", Fields: "{fields}" }}')
