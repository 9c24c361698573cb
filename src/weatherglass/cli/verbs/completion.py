"""Print the script that lets your shell complete verbs and options.

Example: weatherglass completion bash > ~/.local/share/bash-completion/completions/weatherglass
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from weatherglass.cli import exits

PANEL = "More"


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def run(shell: Annotated[Shell, typer.Argument(help="Which shell.")] = Shell.BASH) -> int:
    from typer._completion_shared import get_completion_script

    script = get_completion_script(
        prog_name="weatherglass", complete_var="_WEATHERGLASS_COMPLETE", shell=str(shell)
    )
    typer.echo(script)
    return exits.OK
