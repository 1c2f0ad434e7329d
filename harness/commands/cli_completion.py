"""The command that makes a shell complete this program's words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_TOKENSWARM_COMPLETE"  # the name that click derives from the program's


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script with which the shell completes commands, options and files.

    Example: tokenswarm completion bash > ~/.local/share/bash-completion/completions/tokenswarm
    """
    of_shell = get_completion_class(shell)
    assert of_shell is not None
    root = click.get_current_context().find_root()
    click.echo(of_shell(root.command, {}, "tokenswarm", _VARIABLE).source())
