"""The group of all verbs, loaded one at a time, and how errors end. What verbs do lies in `verbs/`."""

from __future__ import annotations

import os
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import typer
from typer import core
from typer.completion import completion_init  # type: ignore[attr-defined]
from typer.main import get_command

from weatherglass import __version__
from weatherglass.base.errors import WeatherglassError
from weatherglass.cli import exits, verbs

_PANELS = ["Run", "Declare and deploy", "Look", "Practise", "Look after", "More"]
_ENDING = "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in exits.EXITS.items()) + "."


def names() -> list[str]:
    """Every verb, by the files in `verbs/` (a trailing _ keeps a name from being a keyword's)."""
    return sorted(module.name.rstrip("_") for module in pkgutil.iter_modules(verbs.__path__))


def load(name: str) -> Any:
    """The command of one verb, its module loaded."""
    module = _module(name)
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False, rich_markup_mode="rich")
        app.command(help=module.__doc__)(module.run)
    command = get_command(app)
    command.name = name
    return command


def _module(name: str) -> Any:
    there = {module.name.rstrip("_"): module.name for module in pkgutil.iter_modules(verbs.__path__)}
    return import_module(f"weatherglass.cli.verbs.{there[name]}")


class Verbs(core.TyperGroup):
    """Lists verbs from the folder; loads the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        order = {name: _panel(name) for name in [*names(), "agent"]}
        return sorted(order, key=lambda name: (_PANELS.index(order[name]), name))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name == "agent":
            return core.TyperCommand("agent", help="Run the agent of this host.", rich_help_panel="Run")
        if cmd_name not in names():
            return None
        command = load(cmd_name)
        command.rich_help_panel = _panel(cmd_name)
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            near = get_close_matches(args[0], names(), 1) if args else []
            if near and hasattr(error, "message"):
                error.message = f"{error.message.rstrip('.')}. Did you mean {near[0]!r}?"
            raise


def _panel(name: str) -> str:
    if name == "agent":
        return "Run"
    panel = str(getattr(_module(name), "PANEL", "More"))
    return panel if panel in _PANELS else "More"


def _version(asked: bool) -> None:
    if asked:
        print(f"weatherglass {__version__}")
        raise typer.Exit


def group() -> Any:
    """The root command."""
    app = typer.Typer(
        cls=Verbs,
        rich_markup_mode="rich",
        add_completion=False,
        no_args_is_help=True,
        epilog=_ENDING,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )

    @app.callback()
    def weatherglass(
        version: bool = typer.Option(
            False, "--version", help="Print the version.", callback=_version, is_eager=True
        ),
    ) -> None:
        """Runs a research cloud and tells its weather: declare → deploy → observe → diagnose → act.

        Begin with [bold]weatherglass up examples/first-light/site.yaml[/bold]; live verbs find the server by
        [bold]--state DIR[/bold], or by WEATHERGLASS_URL and WEATHERGLASS_TOKEN.
        """

    return get_command(app)


def run(arguments: Sequence[str]) -> int:
    """Run a command line; every end is an exit code of `exits.EXITS`."""
    if "_WEATHERGLASS_COMPLETE" in os.environ:
        completion_init()
    try:
        answer = group().main(list(arguments), prog_name="weatherglass", standalone_mode=False)
        return answer if isinstance(answer, int) else exits.OK
    except WeatherglassError as error:
        print(f"weatherglass: {error}", file=sys.stderr)
        return exits.code_of(error)
    except (KeyboardInterrupt, typer.Abort):
        return exits.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more can be said there
        return exits.OK
    except Exception as error:  # noqa: BLE001 - the last one: a usage error, or a bug to be told as one
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            print(f"weatherglass: {error.format_message()}\n  → weatherglass --help", file=sys.stderr)
            return exits.USAGE
        traceback.print_exc()
        print("weatherglass: this is a bug; please report the lines above", file=sys.stderr)
        return exits.BUG
