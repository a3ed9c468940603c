"""A command group whose help shows complete sentences."""

import click

LONGEST = 1000  # characters; longer than any sentence


class Group(click.Group):
    """A group that lists each command with the first sentence of its help, which click would cut off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, command.get_short_help_str(LONGEST)) for name, command in sorted(self.commands.items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
