"""The ``tierlens`` command: one file a command or a group of them, each imported when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from tierlens.errors import ConfigError, DeliveryError, TierlensError, Unavailable

# Name: module, function or group in it, what the overview says (its docstring's first sentence).
COMMANDS: Final = {
    "init": ("tierlens.cli.init", "init", "Write a first config/ for a compiled graph."),
    "check": ("tierlens.cli.check", "check", "Validate all files in config/."),
    "doctor": ("tierlens.cli.doctor", "doctor", "Say what is wrong with a set-up, and how to mend it."),
    "ship": ("tierlens.cli.ship", "ship", "Deliver what lies in the journal."),
    "journal": ("tierlens.cli.journal", "journal", "Look into the journal, and mend what is wrong in it."),
    "costs": (
        "tierlens.cli.costs",
        "costs",
        "Show what model calls took: tokens, USD, by which prices, and how many have no price.",
    ),
    "metrics": ("tierlens.cli.metrics", "metrics", "Show the figures of what lies in the journal, once."),
    "agents": ("tierlens.cli.agents", "agents", "List, compare and restore versions of agents' configurations."),
    "tail": ("tierlens.cli.tail", "tail", "Show traces as they end, without any server."),
    "forget": ("tierlens.cli.forget", "forget", "Erase traces, or all of a session or a user."),
    "up": ("tierlens.cli.up", "up", "Start a local MLflow server with its UI on a data folder."),
    "ui": ("tierlens.cli.up", "ui", "Open MLflow's UI on a data folder that exists."),
    "schema": ("tierlens.cli.schema", "schema", "Write the JSON Schemas of the config files."),
}


def command(name: str) -> Any:
    """The command of this name, with its module imported."""
    module, function, _ = COMMANDS[name]
    callback: Callable[..., None] | typer.Typer = getattr(importlib.import_module(module), function)
    if isinstance(callback, typer.Typer):
        return typer.main.get_command(callback)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name)(callback)
    return typer.main.get_command(single)


class LazyGroup(TyperGroup):
    """Lists commands without importing them: some take half a second that ``--help`` should not cost."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        # Their names are all that is asked of them: in lists, and of whoever mistypes one.
        self.commands = {name: TyperCommand(name, help=about) for name, (_, _, about) in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        return name, command(name) if name else None, rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            # What pydantic calls it, by which typer reads values.
            error.message = error.message.removeprefix("Value error, ")
            raise


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tierlens {version('tierlens')}")
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Crash-safe, near-zero-overhead observability for LangGraph agents, in MLflow."""


def main() -> None:
    """Run the command line. Exit code 2 for bad usage or configuration, 1 for what a command found wrong."""
    # As for a script of one's own: a redactor, say, may lie in the working directory.
    sys.path.append(os.curdir)
    try:
        app(prog_name="tierlens")
    except Unavailable as error:
        _fail(f"MLflow cannot be asked: {error}; start it (`tierlens up`), or set MLFLOW_TRACKING_URI", 1)
    except DeliveryError as error:
        from tierlens.sinks.mends import with_mend

        _fail(f"MLflow refuses to be asked: {with_mend(error)}", 1)
    except TierlensError as error:
        _fail(str(error), 2 if isinstance(error, ConfigError) else 1)
    except OSError as error:
        from tierlens.cli.os_errors import sentence

        _fail(sentence(error), 1)


def _fail(text: str, code: int) -> NoReturn:
    from tierlens.cli.output import plain

    typer.echo(plain(f"tierlens: {text}", keep="\n"), err=True)
    sys.exit(code)
