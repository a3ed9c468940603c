"""nightshift system: the operator's commands, which no role in the API allows."""

import click

from nightshift_cli.base.group import Group
from nightshift_cli.commands.system.all_jobs import system_overview
from nightshift_cli.commands.system.any_changes import system_audit
from nightshift_cli.commands.system.any_runs import cancel, runs, schedules, trigger, view
from nightshift_cli.commands.system.keys import agent_key, end_key, keys
from nightshift_cli.commands.system.logs import logs
from nightshift_cli.commands.system.mails import mail_stops
from nightshift_cli.commands.system.pausing import pause, resume
from nightshift_cli.commands.system.reports import deadletters, doctor, health
from nightshift_cli.commands.system.setting_up import member, project, revenuecat_key, setup, sign_in_link, teams
from nightshift_cli.session import operator_options
from nightshift_cli.show.times import use_utc


@click.group(cls=Group)
@operator_options
def system() -> None:
    """Operate a stack: its runs, schedules, health, teams and keys.

    --stack names a deployed stack; without it, the commands use the running local stack. A deployed stack is reached
    with your AWS credentials. They need only cloudformation:DescribeStackResource on the stack and
    lambda:InvokeFunction on its OperateFunction. The commands for teams, members, links and keys also need
    lambda:InvokeFunction on its SetupFunction.

    \b
    Examples:
      nightshift system health
      nightshift system health --stack nightshift
    """
    # Operators in several zones compare what they see, also with the schedules of system jobs.
    use_utc()


for command in (system_overview, runs, view, logs, trigger, cancel, pause, resume, schedules):
    system.add_command(command)
for command in (health, deadletters, doctor, mail_stops, system_audit):
    system.add_command(command)
for command in (setup, teams, project, member, sign_in_link, revenuecat_key, agent_key, end_key, keys):
    system.add_command(command)
