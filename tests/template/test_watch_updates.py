"""The alarms that roll an update back are in the template, and go off while CloudFormation watches."""

import re
from pathlib import Path

from local.deployment.template import PATH, load
from tools import watch_updates

RESOURCES = load(PATH)["Resources"]


def test_each_alarm_goes_off_while_an_update_is_watched():
    assert len(watch_updates.ALARMS) <= 5
    for name in watch_updates.ALARMS:
        alarm = RESOURCES[name]["Properties"]
        assert "Condition" not in RESOURCES[name]
        assert alarm["Period"] * alarm["EvaluationPeriods"] <= 60 * (watch_updates.MINUTES - 5), name
    assert watch_updates.MINUTES <= 180


def test_the_page_names_the_command_and_the_time():
    page = " ".join(Path("docs/upgrade.md").read_text().split())
    assert "python -m tools.watch_updates nightshift-prod" in page
    assert f"for {watch_updates.MINUTES} minutes" in page
    for alarm in watch_updates.ALARMS:
        assert re.search(rf"`{alarm.removesuffix('Alarm')}`", page), alarm
