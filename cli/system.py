"""nightshift system: what the owner of the server does, and no role in the API could."""

import click

from cli.checks import deadletters, doctor, health
from cli.group import Group
from cli.keys import agent_key, end_key, keys
from cli.logs import logs
from cli.owner import cancel, runs, schedules, trigger, view
from cli.pausing import pause, resume
from cli.session import owner_options
from cli.teams import member, project, revenuecat_key, setup, teams


@click.group(cls=Group)
@owner_options
def system() -> None:
    """What the owner of the server does.

    Asks a stack: the deployed one that --stack names, with your AWS credentials, which may be allowed no more than
    cloudformation:DescribeStackResource on it and lambda:InvokeFunction on its OpsFunction, and on its SetupFunction
    for what makes teams, people and keys; without --stack the running local one.

    \b
    Examples:
      nightshift system health
      nightshift system health --stack nightshift
    """


for command in (runs, view, logs, trigger, cancel, pause, resume, schedules, health, deadletters, doctor):
    system.add_command(command)
for command in (setup, teams, project, member, revenuecat_key, agent_key, end_key, keys):
    system.add_command(command)
