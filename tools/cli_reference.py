"""Generate docs/cli.md and the pages in docs/cli/ from the help texts of the commands: make docs"""

import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from nightshift_cli.main import main

INDEX = Path("docs", "cli.md")
FOLDER = Path("docs", "cli")
EXAMPLES = "Examples:"
HEAD = """# The command line

`make run`, `make build` and `make .venv/ready` install the command as `.venv/bin/nightshift`. These pages are generated
from each command's `--help` (`make docs`), and tests run their examples.
"""
WIDTH = 120

Name = tuple[str, ...]


def pages() -> dict[Path, str]:
    """Return the text of each page by its file name: the index, and a page for each module that registers commands."""
    made = {INDEX: "\n".join([HEAD, *_section(("nightshift",), main, level=2), *_index()])}
    names = dict.fromkeys(_page_of(command) for command in main.commands.values())
    return made | {FOLDER / f"{name}.md": _page(name) for name in names}


def commands(command: click.Command = main, path: Name = ("nightshift",)) -> Iterator[tuple[Name, click.Command]]:
    """Yield every command with its full name, each group before its commands."""
    yield path, command
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from commands(each, (*path, name))


def examples(command: click.Command) -> list[str]:
    """Return the example lines in the command's help."""
    return [line.strip() for title, *lines in _blocks(command) if title == EXAMPLES for line in lines]


def _page_of(command: click.Command) -> str:
    """Return the name of the page of a top-level command: that of the module which defines it."""
    return str(getattr(command.callback, "__module__", "")).rpartition(".")[2]


def _index() -> Iterator[str]:
    """Yield a table of all commands, with a link to each."""
    yield "## Commands\n"
    yield "| command | purpose |\n|---|---|"
    for path, command in commands():
        if len(path) > 1:
            name = " ".join(path)
            page = f"{FOLDER.name}/{_page_of(main.commands[path[1]])}.md"
            yield f"| [`{name}`]({page}#{name.replace(' ', '-')}) | {_cell(command.get_short_help_str(1000))} |"
    yield ""


def _page(name: str) -> str:
    on_it = {called: command for called, command in main.commands.items() if _page_of(command) == name}
    parts = [] if len(on_it) == 1 else [f"# nightshift {', '.join(on_it)}\n"]
    for called, top in on_it.items():
        for path, command in commands(top, ("nightshift", called)):
            parts += _section(path, command, level=len(path) - (len(on_it) == 1))
    return "\n".join(parts)


def _section(path: Name, command: click.Command, *, level: int) -> Iterator[str]:
    name = " ".join(path)
    yield f"{'#' * level} {name}\n"
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
        yield "| option | description |\n|---|---|"
        yield "\n".join(f"| `{_cell(option)}` | {_cell(said)} |" for option, said in rows) + "\n"
    if also := [f"`{options[0]}`" for options, _ in told if common & set(options)]:
        yield f"Also {', '.join(also)}: see [nightshift](../{INDEX.name}#nightshift).\n"


def _blocks(command: click.Command) -> list[list[str]]:
    """Return the paragraphs of the command's help as lists of lines."""
    text = inspect.cleandoc(command.help or "").replace("\b\n", "")
    return [block.splitlines() for block in text.split("\n\n")]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("  ", " ")


def write() -> None:
    """Write the pages, and delete pages that are no longer generated."""
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for stale in set(FOLDER.glob("*.md")) - made.keys():
        stale.unlink()
    for path, text in made.items():
        path.write_text(text)


if __name__ == "__main__":
    write()
