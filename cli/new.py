"""nightshift new: what a checkout needs for another job. All of its files are written, or none."""

import keyword
import re
from contextlib import suppress
from pathlib import Path

import click

from cli import skeleton
from cli.errors import Misconfigured
from cli.group import Group
from cli.places import scheduled, text_of
from cli.session import Session, format_option
from cli.skeleton import named
from nightshift.cron import BadCron, Cron, from_five_fields

CATALOGUE = Path("layers/nightshift/nightshift/catalogue.py")
JOBS = Path("functions/worker/jobs")
TESTS = Path("tests")

LONGEST_NAME = 40


class JobName(click.ParamType[str]):
    """What can name a generator function, its module, its test and a resource."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", value):
            self.fail(f"{value!r} is no name for a job: small letters, digits and _, like weekly_report.", param, ctx)
        if keyword.iskeyword(value):
            self.fail(f"{value!r} is a word of Python's own.", param, ctx)
        if len(value) > LONGEST_NAME:
            self.fail(f"{value!r} has {len(value)} characters; a name has at most {LONGEST_NAME}.", param, ctx)
        return value


class Label(click.ParamType[str]):
    """What can stand in Python, in YAML and in a mail's subject as it is."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 -]{0,59}", value):
            self.fail(f"{value!r} is no label: up to 60 letters, digits, spaces and -, like Weekly Report.", param, ctx)
        return value


class FiveFields(click.ParamType[Cron]):
    """A cron expression as everybody writes it."""

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
    """Make what a checkout needs for something new.

    \b
    Examples:
      nightshift new job weekly_report
    """


@new.command()
@click.argument("name", type=JobName())
@click.option("--label", metavar="TEXT", type=Label(), help="What people call it (the name in words).")
@click.option(
    "--schedule",
    metavar="CRON",
    type=FiveFields(),
    help="When it starts by itself: five fields, in UTC. Makes it a system job.",
)
@click.option("--project", is_flag=True, help="A project's job: what it is without --schedule.")
@format_option
@click.pass_obj
def job(session: Session, name: str, label: str | None, schedule: Cron | None, project: bool) -> None:
    """Make a job type called NAME, in the checkout that is the current folder: code that works, its test, and its line
    in the catalogue.

    Without --schedule it is a project's job: team admins start it for a project of theirs. With --schedule it is a
    system job: it starts by itself, no team sees it, and template.yaml gets its parameter, its rule and its alarm.

    \b
    Examples:
      nightshift new job weekly_report
      nightshift new job churn_score --label "Churn Score"
      nightshift new job quiet_users --schedule "0 5 * * *"
    """
    if project and schedule:
        raise Misconfigured("A project's job has no schedule: of which project would it be? Leave one of the two out.")
    label = label or name.replace("_", " ").title()
    files = _files(name, label=label, schedule=schedule)
    made = [str(path) for path in files if not path.exists()]
    changed = [str(path) for path in files if path.exists()]
    _write(files)
    if session.output.as_json:
        session.output.document({"made": made, "changed": changed})
        return
    for what, paths in (("Made", made), ("Changed", changed)):
        session.output.say(f"{what} {', '.join(paths)}.")
    session.output.say(f"Say what it does in {JOBS / name}.py, and in its description in {CATALOGUE}. Then:")
    tests = [f"tests/test_{name}.py", *(["tests/test_template.py"] if schedule else [])]
    session.output.say(f"  .venv/bin/python -m pytest {' '.join(tests)}")


def _files(name: str, *, label: str, schedule: Cron | None) -> dict[Path, str]:
    """Each file and its new text. Raises Misconfigured naming what is in the way."""
    catalogue = text_of(CATALOGUE)
    if f'name="{name}"' in catalogue:
        raise Misconfigured(f"{CATALOGUE} has a job type {name} already: choose another name.")
    job_type = named(skeleton.JOB_TYPE, name=name, label=label)
    if schedule:
        job_type = job_type.replace('"project",\n', f'"system",\n            schedule="{schedule.five_fields}",\n')
    last = "    )\n}\n"
    if catalogue.count(last) != 1:
        raise Misconfigured(f"{CATALOGUE} has no place for a job type: its table should end in one line of }} alone.")
    files = {
        _free(JOBS / f"{name}.py"): named(skeleton.JOB, name=name, label=label),
        _free(TESTS / f"test_{name}.py"): named(skeleton.TEST, name=name, label=label),
        CATALOGUE: catalogue.replace(last, job_type + last),
    }
    return files | (scheduled(name, label=label, schedule=schedule) if schedule else {})


def _free(path: Path) -> Path:
    if path.exists():
        raise Misconfigured(f"There is a {path} already: choose another name.")
    return path


def _write(files: dict[Path, str]) -> None:
    """All of them, or none: a disk that is full must not take what is there already."""
    half_done = {path: path.with_name(f".{path.name}.new") for path in files}
    made = [path for path in files if not path.exists()]
    try:
        for path, text in files.items():
            half_done[path].write_text(text)
        for path in files:
            if path.exists():
                half_done[path].chmod(path.stat().st_mode)
            half_done[path].replace(path)
    except OSError as exc:
        for path in (*half_done.values(), *made):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise Misconfigured(f"Nothing was made: {exc.filename}: {exc.strerror}.") from exc
