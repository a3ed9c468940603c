"""docs/cli.md, made of what the commands say themselves: python -m cli.reference > docs/cli.md"""

import textwrap
from collections.abc import Iterator

import click

from cli.main import main

HEAD = """# The command line

`make` puts it at `.venv/bin/nightshift`; every command explains itself with `--help`, and this page is made of that (`make reference`).
"""
EXAMPLES = "Examples:"


def page() -> str:
    parts = [HEAD, *_section(main, ("nightshift",))]
    return "\n".join(parts)


def commands(
    command: click.Command = main, path: tuple[str, ...] = ("nightshift",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its full name, groups before what is in them."""
    yield path, command
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from commands(each, (*path, name))


def examples(command: click.Command) -> list[str]:
    """The commands to copy in its help."""
    for block in _blocks(command):
        if block[0] == EXAMPLES:
            return [line.strip() for line in block[1:]]
    return []


def _section(command: click.Command, path: tuple[str, ...]) -> Iterator[str]:
    for name, each in commands(command, path):
        context = click.Context(each, info_name=" ".join(name))
        yield f"{'#' * min(len(name) + 1, 3)} {' '.join(name)}\n"
        for block in _blocks(each):
            if block[0] == EXAMPLES:
                yield "\n".join(["```sh", *(line.strip() for line in block[1:]), "```\n"])
            elif block[0].endswith(":") and len(block) > 1:
                yield "\n".join([block[0], "```text", *textwrap.dedent("\n".join(block[1:])).splitlines(), "```\n"])
            else:
                yield textwrap.fill(" ".join(line.strip() for line in block), width=120, break_on_hyphens=False) + "\n"
        yield from _options(each, context)


def _blocks(command: click.Command) -> list[list[str]]:
    """The paragraphs of its help."""
    text = textwrap.dedent(command.help or "") if command.help else ""
    return [block.strip("\n").splitlines() for block in text.replace("\b\n", "").split("\n\n") if block.strip()]


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"`{context.info_name} {usage}`\n"
    rows = [record for param in command.get_params(context) if (record := param.get_help_record(context))]
    if rows:
        yield "| option | |\n|---|---|"
        yield "\n".join(f"| `{name}` | {told.replace('|', chr(92) + '|')} |" for name, told in rows) + "\n"


if __name__ == "__main__":
    click.echo(page(), nl=False)
