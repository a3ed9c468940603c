"""A group of commands, and how its help lists them."""

import click

LONGEST = 1000  # Characters; no sentence is as long.


class Group(click.Group):
    """Lists its commands each with the first sentence of its help; click would cut it at the terminal's edge."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, command.get_short_help_str(LONGEST)) for name, command in sorted(self.commands.items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
