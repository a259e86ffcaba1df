"""``chaosnet completion``: the script that gives a shell tab completion.  Prints it; installs nothing."""

import click
from click.shell_completion import get_completion_class


@click.command(short_help="Tab completion for bash, zsh and fish.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  eval "$(chaosnet completion bash)"                                           in ~/.bashrc
    zsh:   eval "$(chaosnet completion zsh)"                                            in ~/.zshrc
    fish:  chaosnet completion fish > ~/.config/fish/completions/chaosnet.fish
    """
    from chaosnet.cli.frame import chaosnet

    kind = get_completion_class(shell)
    assert kind is not None  # the three shells above are click's own
    click.echo(kind(chaosnet, {}, "chaosnet", "_CHAOSNET_COMPLETE").source())
