"""The places in a checkout that name a scheduled job. Each part of the last scheduled job is copied for the new one.

So a new rule or alarm looks like the existing ones, even if they have changed since this code was written.
"""

import re
from pathlib import Path

from nightshift.schedules.cron import Cron
from nightshift_cli.base.failures import Misconfigured
from nightshift_cli.session import here

TEMPLATE = Path("template.yaml")
# `make docs` generates this page from the template; a test compares the two.
REFERENCE = Path("docs/configuration.md")

# Each pattern matches exactly one place of a job whose name is known.
IN_THE_TEMPLATE = {
    "the group of parameters that the console shows it in": r"^ +- {camel}Schedule\n",
    "its parameter": r"^  {camel}Schedule:\n(?:    .*\n)+",
    "its condition": r"^  Schedule{camel}: .*\n",
    "its line in SCHEDULES of the migrate function": r'^ +"{name}": "\$\{{{camel}Schedule\}}"\}}\n',
    "its line in the schedules of Migrations": r"^ +- !Ref {camel}Schedule\n",
    "its rule and the rule's permission": r"^\n  {camel}Rule:\n(?:    .*\n)+\n  {camel}RulePermission:\n(?:    .*\n)+",
    "its alarm": r"^\n  {camel}FailedAlarm:\n(?:    .*\n)+",
    "its alarm on the dashboard": r'^ +"\$\{{{camel}FailedAlarm\.Arn\}}",\n',
}
IN_THE_REFERENCE = {"its parameter": r"^\| `{camel}Schedule` \|.*\n"}


def scheduled(name: str, *, label: str, schedule: Cron) -> dict[Path, str]:
    """Return the files that change, with their new texts.

    Raise Misconfigured if the name is taken or a place is not found.
    """
    template, reference = text_of(TEMPLATE), text_of(REFERENCE)
    jobs = re.findall(r'"job_type": "(\w+)"', template)
    if not jobs:
        raise Misconfigured(f"{TEMPLATE} has no scheduled job whose rule could be copied.")
    old, new = {"name": jobs[-1], "camel": _camel(jobs[-1])}, {"name": name, "camel": _camel(name)}
    for key in ("{camel}Schedule", "Schedule{camel}", "{camel}Rule", "{camel}RulePermission", "{camel}FailedAlarm"):
        if re.search(rf"^  {key.format(**new)}:", template, re.MULTILINE):
            raise Misconfigured(f"{TEMPLATE} already has {key.format(**new)}: choose another name.")

    def another(place: str) -> str:
        # When this copy is itself copied one day, the name could not be told from the surrounding text.
        if new["camel"] in place or re.search(rf"\b{name}\b", place):
            raise Misconfigured(f"{TEMPLATE} uses the word {name} itself: choose another name.")
        copy = place.replace(old["camel"], new["camel"]).replace(old["name"], new["name"])
        copy = re.sub(r"cron\([^)]*\)", schedule.eventbridge, copy)
        return re.sub(r"When .* \(EventBridge", f"When {label} starts (EventBridge", copy)

    def and_another(found: re.Match[str]) -> str:
        # The copy follows the last line of an object, which therefore needs a comma.
        place = re.sub(r'"\}\n$', '",\n', found[0])
        return place + another(found[0])

    def with_another(text: str, *, places: dict[str, str], path: Path) -> str:
        for what, pattern in places.items():
            place = re.compile(pattern.format(**old), re.MULTILINE)
            if (count := len(place.findall(text))) != 1:
                raise Misconfigured(
                    f"{path} must have exactly one place for {what} of the job {old['name']}, found {count}."
                )
            text = place.sub(and_another, text)
        return text

    return {
        TEMPLATE: with_another(template, places=IN_THE_TEMPLATE, path=TEMPLATE),
        REFERENCE: with_another(reference, places=IN_THE_REFERENCE, path=REFERENCE),
    }


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        raise Misconfigured(f"{here()} is not a checkout of Nightshift: {path} is missing.") from None
