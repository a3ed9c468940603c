"""docs/cli.md, made of what the commands say of themselves: make docs"""

import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from cli.main import main

PAGE = Path("docs", "cli.md")
EXAMPLES = "Examples:"
HEAD = """# The command line

`.venv/bin/nightshift`, which `make run`, `make build` and `make .venv/ready` install. This page is made of what each
command says with `--help` (`make docs`), and its examples are run by the tests.
"""
WIDTH = 120


def page() -> str:
    return "\n".join([HEAD, *(part for path, command in commands() for part in _section(path, command))])


def commands(
    command: click.Command = main, path: tuple[str, ...] = ("nightshift",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its full name, a group before what is in it."""
    yield path, command
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from commands(each, (*path, name))


def examples(command: click.Command) -> list[str]:
    """The lines to copy in its help."""
    return [line.strip() for title, *lines in _blocks(command) if title == EXAMPLES for line in lines]


def _section(path: tuple[str, ...], command: click.Command) -> Iterator[str]:
    name = " ".join(path)
    yield f"{'##' if len(path) < 3 else '###'} {name}\n"
    for title, *lines in _blocks(command):
        if title == EXAMPLES:
            yield "\n".join(["```sh", *(line.strip() for line in lines), "```\n"])
        elif title.endswith(":") and lines:
            yield "\n".join([title, "", "```text", *textwrap.dedent("\n".join(lines)).splitlines(), "```\n"])
        else:
            yield textwrap.fill(" ".join([title, *lines]), width=WIDTH, break_on_hyphens=False) + "\n"
    context = click.Context(command, info_name=name)
    if len(path) > 1:
        yield f"`{name} {' '.join(command.collect_usage_pieces(context))}`\n"
    common = {option for param in main.params for option in param.opts} if len(path) > 1 else set()
    told = [(param.opts, record) for param in command.params if (record := param.get_help_record(context))]
    if rows := [record for options, record in told if record[1] and not common & set(options)]:
        yield "| option | what it says |\n|---|---|"
        yield "\n".join(f"| `{_cell(option)}` | {_cell(said)} |" for option, said in rows) + "\n"
    if also := [f"`{options[0]}`" for options, _ in told if common & set(options)]:
        yield f"Also {', '.join(also)}: as [above](#nightshift).\n"


def _blocks(command: click.Command) -> list[list[str]]:
    """The paragraphs of its help, in lines."""
    text = inspect.cleandoc(command.help or "").replace("\b\n", "")
    return [block.splitlines() for block in text.split("\n\n")]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("  ", " ")


if __name__ == "__main__":
    PAGE.write_text(page())
