"""Read secrets. As an argument, `ps` and the shell's history would show them."""

import sys

import click

from nightshift_cli.base.failures import Misconfigured


def read_hidden(what: str, *, option: str, from_stdin: bool) -> str:
    """Read a secret from standard input, or from a prompt that does not show it."""
    if from_stdin:
        if secret := sys.stdin.readline().strip():
            return secret
        raise Misconfigured(f"Standard input holds no {what}.")
    if not sys.stdin.isatty():
        raise Misconfigured(f"Cannot prompt for the {what}: stdin is not a terminal. Pipe it in with {option}.")
    asked: str = click.prompt(f"{what[0].upper()}{what[1:]} (not shown)", hide_input=True, err=True)
    return asked.strip()
