"""nightshift completion: print the script with which a shell completes this command line."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that makes SHELL complete commands, options, job types, projects and run ids.

    \b
    Load the script when the shell starts:
      bash  eval "$(nightshift completion bash)" in ~/.bashrc
      zsh   eval "$(nightshift completion zsh)" in ~/.zshrc
      fish  nightshift completion fish > ~/.config/fish/completions/nightshift.fish

    \b
    Examples:
      nightshift completion bash
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, "nightshift", "_NIGHTSHIFT_COMPLETE").source())
