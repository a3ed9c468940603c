"""nightshift system: the operator's commands, which no role in the API allows."""

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
    """Operate a stack: its runs, schedules, health, teams and keys.

    --stack names a deployed stack; without it, the commands use the running local stack. A deployed stack is reached
    with your AWS credentials. They need only cloudformation:DescribeStackResource on the stack and
    lambda:InvokeFunction on its OpsFunction. The commands for teams, members and keys also need lambda:InvokeFunction
    on its SetupFunction.

    \b
    Examples:
      nightshift system health
      nightshift system health --stack nightshift
    """


for command in (runs, view, logs, trigger, cancel, pause, resume, schedules, health, deadletters, doctor):
    system.add_command(command)
for command in (setup, teams, project, member, revenuecat_key, agent_key, end_key, keys):
    system.add_command(command)
