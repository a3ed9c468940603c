"""nightshift ping, openapi and open: the API itself and its dashboard."""

import sys
import webbrowser

import click

from nightshift_cli.base.text import clean
from nightshift_cli.session import Session, common_options
from nightshift_cli.values import RunId


@click.command()
@common_options
@click.pass_obj
def ping(session: Session) -> None:
    """Check that the API is up, and show its version.

    The token is neither needed nor checked; to check it, use whoami.

    \b
    Examples:
      nightshift ping
      nightshift ping --api-url https://jobs.example.com
    """
    api = session.api_at(session.address)
    answer = api.ping()
    if session.output.as_json:
        session.output.document(answer)
    else:
        version = f", version {clean(answer['version'])}" if answer.get("version") else ""
        session.output.say(f"{api.url} is up{version}.")


@click.command()
@common_options
@click.pass_obj
def openapi(session: Session) -> None:
    """Print the API's OpenAPI document. No token is needed.

    \b
    Examples:
      nightshift openapi > openapi.json
    """
    session.output.document(session.api_at(session.address).openapi())


@click.command("open")
@click.argument("run_id", required=False, type=RunId())
@click.option("--print", "only_print", is_flag=True, help="Print the link instead of opening it.")
@click.option(
    "--sign-in", is_flag=True, help="Put your token into the link. Anyone with the link can do everything you can."
)
@common_options
@click.pass_obj
def open_dashboard(session: Session, run_id: str | None, only_print: bool, sign_in: bool) -> None:
    """Open the dashboard in a browser, at a run or at the list of runs.

    Without a terminal or a browser, the link is printed. With --sign-in, the link carries the token in its fragment,
    which browsers do not send to servers. Only --print prints that link in full. When a browser is opened, the link is
    briefly visible on the browser's command line.

    \b
    Examples:
      nightshift open
      nightshift open RUN_ID --print
    """
    config = session.config if sign_in else session.address
    link = f"{config.api_url}/" + (f"runs/{session.run_id(run_id)}" if run_id else "")
    signed_in = f"{link}#token={config.token}" if sign_in else link
    if session.output.as_json:
        session.output.document({"url": signed_in})
    elif only_print:
        session.output.say(signed_in)
    elif sys.stdout.isatty() and webbrowser.open(signed_in):
        session.output.say(f"Opened {link}")
    else:
        session.output.say(link)
        if sign_in:
            session.output.say(
                "No browser was opened. To print a link that signs in: nightshift open --sign-in --print"
            )
