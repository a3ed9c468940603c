"""Options of the commands that start a run."""

import click

from nightshift_cli.values import HeaderValue, Param, by_name

wait_option = click.option("--wait", is_flag=True, help="Show progress until the run ends; exit with 0, 1 or 3.")
params_option = click.option(
    "--param",
    "params",
    multiple=True,
    type=Param(),
    callback=by_name,
    help="A job parameter. The value is read as JSON if it is valid JSON, otherwise as text.",
)
key_option = click.option(
    "--idempotency-key", type=HeaderValue(), help="For 24 hours, the same key returns the same run."
)
