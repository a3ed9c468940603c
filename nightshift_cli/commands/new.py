"""nightshift new: create the files that a new job needs in a checkout. Either all files are written, or none."""

import keyword
import re
from contextlib import suppress
from pathlib import Path

import click

from nightshift.schedules.cron import BadCron, Cron, from_five_fields
from nightshift_cli.base.failures import Misconfigured
from nightshift_cli.base.group import Group
from nightshift_cli.commands import skeleton
from nightshift_cli.commands.skeleton import named
from nightshift_cli.session import Session, format_option, here

JOB_TYPES = Path("functions/nightshift/jobs/registry.py")
JOBS = Path("functions/worker/jobs")
TESTS = Path("tests")

LONGEST_NAME = 40


class JobName(click.ParamType[str]):
    """A name that can be used for a generator function, its module, its test and a resource."""

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
    """Create the files for a new job in a checkout.

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
    """Create a job type called NAME: working code, a test, and an entry in the registry.

    The current folder must be a checkout.

    Without --schedule the job is a project job: team admins start it for one of their projects. With --schedule it is a
    system job: it starts by itself and teams cannot see it.

    \b
    Examples:
      nightshift new job weekly_report
      nightshift new job churn_score --label "Churn Score"
      nightshift new job quiet_users --schedule "0 5 * * *"
    """
    if project and schedule:
        raise Misconfigured("A project job cannot have a schedule. Leave out --project or --schedule.")
    label = label or name.replace("_", " ").title()
    files = _files(name, label=label, schedule=schedule)
    made = [str(path) for path in files if not path.exists()]
    changed = [str(path) for path in files if path.exists()]
    _write(files)
    if session.output.as_json:
        session.output.document({"made": made, "changed": changed})
        return
    for what, paths in (("Created", made), ("Changed", changed)):
        session.output.say(f"{what} {', '.join(paths)}.")
    session.output.say(f"Write the job in {JOBS / name}.py and its description in {JOB_TYPES}. Then run:")
    tests = [f"tests/test_{name}.py", *(["tests/template/test_template.py"] if schedule else [])]
    session.output.say(f"  .venv/bin/python -m pytest {' '.join(tests)}")


def _files(name: str, *, label: str, schedule: Cron | None) -> dict[Path, str]:
    """Return each file and its new text. Raise Misconfigured if the name is taken or a file has an unexpected form."""
    catalogue = text_of(JOB_TYPES)
    if f'name="{name}"' in catalogue:
        raise Misconfigured(f"{JOB_TYPES} already has a job type {name}: choose another name.")
    job_type = named(skeleton.JOB_TYPE, name=name, label=label)
    if schedule:
        job_type = job_type.replace('"project",\n', f'"system",\n            schedule="{schedule.five_fields}",\n')
    last = "    )\n}\n"
    if catalogue.count(last) != 1:
        raise Misconfigured(f"Cannot add a job type to {JOB_TYPES}: its table must end with a line that holds only }}.")
    return {
        _free(JOBS / f"{name}.py"): named(skeleton.JOB, name=name, label=label),
        _free(TESTS / f"test_{name}.py"): named(skeleton.TEST, name=name, label=label),
        JOB_TYPES: catalogue.replace(last, job_type + last),
    }


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        raise Misconfigured(f"{here()} is not a checkout of Nightshift: {path} is missing.") from None


def _free(path: Path) -> Path:
    if path.exists():
        raise Misconfigured(f"{path} already exists: choose another name.")
    return path


def _write(files: dict[Path, str]) -> None:
    """Write all files, or none: a full disk must not damage existing files."""
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
        raise Misconfigured(f"Nothing was created: {exc.filename}: {exc.strerror}.") from exc
