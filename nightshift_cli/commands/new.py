"""nightshift new: create the folder of a new job in a checkout. Either the whole folder is made, or nothing."""

import keyword
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from nightshift.schedules.cron import BadCron, Cron, from_five_fields
from nightshift_cli.base.failures import Misconfigured
from nightshift_cli.base.group import Group
from nightshift_cli.commands.additions import TEMPLATE, additions_for
from nightshift_cli.commands.skeleton import render
from nightshift_cli.session import Session, format_option, here

JOBS = Path("functions/nightshift_jobs")

LONGEST_NAME = 40


class JobName(click.ParamType[str]):
    """A name that can be used for a generator function, its folder, its test and a resource."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", value):
            self.fail(
                f"invalid job name {value!r}: use lowercase letters, digits and underscores, for example "
                "weekly_report.",
                param,
                ctx,
            )
        if keyword.iskeyword(value):
            self.fail(f"invalid job name {value!r}: it is a Python keyword.", param, ctx)
        if value.startswith("test_"):
            self.fail(f"invalid job name {value!r}: pytest takes files that begin with test_ for tests.", param, ctx)
        if len(value) > LONGEST_NAME:
            self.fail(
                f"invalid job name {value!r}: it has {len(value)} characters, the limit is {LONGEST_NAME}.", param, ctx
            )
        return value


class Label(click.ParamType[str]):
    """A label that needs no escaping in Python, in YAML and in a mail's subject."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 -]{0,59}", value):
            self.fail(
                f"invalid label {value!r}: use up to 60 letters, digits, spaces and hyphens, for example "
                "Weekly Report.",
                param,
                ctx,
            )
        return value


class FiveFields(click.ParamType[Cron]):
    """A cron expression in the usual five fields."""

    name = "cron"

    def convert(self, value: str | Cron, param: click.Parameter | None, ctx: click.Context | None) -> Cron:
        if isinstance(value, Cron):
            return value
        try:
            return from_five_fields(value)
        except BadCron as exc:
            self.fail(f"{exc}.", param, ctx)


@click.group(cls=Group)
def new() -> None:
    """Create the folder of a new job in a checkout.

    \b
    Examples:
      nightshift new job weekly_report
    """


@new.command()
@click.argument("name", type=JobName())
@click.option("--label", metavar="TEXT", type=Label(), help="Display name; by default derived from NAME.")
@click.option(
    "--schedule",
    metavar="CRON",
    type=FiveFields(),
    help="Cron expression with five fields, in UTC. Makes the job a system job.",
)
@click.option("--project", is_flag=True, help="Make the job a project job (the default without --schedule).")
@format_option
@click.pass_obj
def job(session: Session, name: str, label: str | None, schedule: Cron | None, project: bool) -> None:
    """Create a job type called NAME: one folder with its declaration, working code and a test.

    The current folder must be a checkout. No other file changes: the registry finds the folder.

    Without --schedule the job is a project job: team admins start it for one of their projects. With --schedule it is a
    system job: it starts by itself and teams cannot see it. The command prints what to add to template.yaml for it: a
    word and a line.

    \b
    Examples:
      nightshift new job weekly_report
      nightshift new job churn_score --label "Churn Score"
      nightshift new job quiet_users --schedule "0 5 * * *"
    """
    if project and schedule:
        raise Misconfigured("A project job cannot have a schedule. Leave out --project or --schedule.")
    folder = _free_folder(name)
    additions = additions_for(name, schedule=schedule) if schedule else None
    files = render(name, label=label or name.replace("_", " ").title(), schedule=schedule)
    _make(folder, files)
    made = [str(folder / file) for file in files]
    if session.output.as_json:
        session.output.document({"made": made} | ({"template": asdict(additions)} if additions else {}))
        return
    session.output.say(f"Created {', '.join(made)}.")
    if additions:
        session.output.say(f"Add to {TEMPLATE}, in the list of Fn::ForEach::SystemJobs:")
        session.output.say(f"  {additions.word}")
        session.output.say("and in Mappings, below SystemJobs:")
        session.output.say(f"  {additions.line}")
    session.output.say(
        f"Write the job in {folder / 'job.py'} and its description in {folder / '__init__.py'}. Then run:"
    )
    tests = [str(folder), *(["tests/template/test_system_jobs.py"] if schedule else [])]
    session.output.say(f"  .venv/bin/python -m pytest {' '.join(tests)}")


def _free_folder(name: str) -> Path:
    """Return the folder of a new job. Raise Misconfigured if the name is taken, or too close to another job's."""
    if not JOBS.is_dir():
        raise Misconfigured(f"{here()} is not a checkout of Nightshift: {JOBS} is missing.")
    for folder in sorted(JOBS.iterdir()):
        if _is_left_over(folder):
            continue
        if folder.name == name:
            raise Misconfigured(f"{folder} already exists: choose another name, or remove the folder.")
        # Names of resources in a template have no underscores: x_1 and x1 would be the same.
        if folder.name.replace("_", "") == name.replace("_", ""):
            raise Misconfigured(f"{name} and {folder} differ only in underscores: choose another name.")
    return JOBS / name


def _is_left_over(folder: Path) -> bool:
    """Return whether ``git rm`` has removed the folder's files: git leaves the files that Python compiled."""
    return folder.is_dir() and all(path.name == "__pycache__" for path in folder.iterdir())


def _make(folder: Path, files: dict[str, str]) -> None:
    """Make the folder in one step: the registry, and a test that runs, never see a part of it."""
    try:
        with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as aside:
            made = Path(aside, folder.name)
            made.mkdir()
            for file, text in files.items():
                (made / file).write_text(text, encoding="utf-8")
            shutil.rmtree(folder / "__pycache__", ignore_errors=True)
            made.rename(folder)
    except OSError as exc:
        raise Misconfigured(f"Nothing was created: {exc.filename or folder}: {exc.strerror}.") from exc
