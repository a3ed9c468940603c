"""nightshift mcp: let an agent use the API, by the Model Context Protocol."""

import click

from nightshift_cli.base.failures import Misconfigured
from nightshift_cli.session import Session, common_options


@click.command("mcp")
@click.option("--read-only", is_flag=True, help="Offer only the tools that change nothing.")
@common_options
@click.pass_obj
def serve_agent(session: Session, read_only: bool) -> None:
    """Serve an agent's tools over standard input and output (Model Context Protocol).

    An agent's program starts this command. It can list, view, start, cancel and repeat runs, and list, make, pause and
    resume schedules, as far as the key's permissions go. Give it a key of its own: nightshift keys create.

    \b
    Examples:
      nightshift mcp
      nightshift mcp --read-only --profile agent
    """
    try:
        from nightshift_cli.agents.tool_server import server
        from nightshift_cli.agents.tools import Tools
    except ImportError as exc:
        raise Misconfigured(
            f"The server for agents needs the extra mcp ({exc.name} is missing): pipx install 'nightshift[mcp]'."
        ) from None
    server(Tools(session), only_reading=read_only).run("stdio")
