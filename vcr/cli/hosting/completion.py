"""`vcr completion`: the script that completes verbs and options of vcr in a shell."""

import click

from vcr.cli.context import App, Command

SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_obj
def completion(app: App, shell: str) -> None:
    """Print a script for SHELL that completes verbs, options and values.

    The script asks vcr itself for the words, so `vcr` has to be on the PATH:

      source <(vcr completion bash)
    """
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    assert completer is not None  # noqa: S101 -- click knows the three
    root = click.get_current_context().find_root().command
    app.ui.document(completer(root, {}, "vcr", "_VCR_COMPLETE").source().strip())
