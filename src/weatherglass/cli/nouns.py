"""A noun with sub-commands of its own: one module each in a folder, found by listing, loaded when called.

A module holds `run` (one command) or `app` (a Typer), as a verb does; a trailing _ keeps a name from being a keyword's.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import typer
from typer import core
from typer.main import get_command

_FOUND_BY = "find"
_HELP = ("--help", "-h")


def noun(package: ModuleType, doc: str | None, otherwise: Callable[..., Any] | None = None) -> typer.Typer:
    """The group of a package's modules. Words that name none of them go to `otherwise`, where there is one."""
    modules = {
        one.name.rstrip("_").replace("_", "-"): one.name for one in pkgutil.iter_modules(package.__path__)
    }

    class Noun(core.TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return sorted([*modules, *([_FOUND_BY] if otherwise else [])])

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if otherwise and cmd_name == _FOUND_BY:
                return _command(cmd_name, otherwise, doc)
            if cmd_name not in modules:
                return None
            module = import_module(f"{package.__name__}.{modules[cmd_name]}")
            app = getattr(module, "app", None)
            made = get_command(app) if app else _command(cmd_name, module.run, module.__doc__)
            made.name = cmd_name
            return made

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            if otherwise and not (args and (args[0] in (*modules, _FOUND_BY) or args[0] in _HELP)):
                args = [_FOUND_BY, *args]
            return super().parse_args(ctx, args)

    app = typer.Typer(
        cls=Noun, help=doc, no_args_is_help=otherwise is None, add_completion=False, rich_markup_mode="rich"
    )

    @app.callback(help=doc)
    def group() -> None:
        return

    return app


def _command(name: str, run: Callable[..., Any], doc: str | None) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command(help=doc)(run)
    made = get_command(app)
    made.name = name
    return made
