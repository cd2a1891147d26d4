"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from tierlens import settings
from tierlens.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH: Final = 240

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def print_json(value: Any) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode())


def print_json_line(value: Any) -> None:
    """One of many values, on a line of its own."""
    typer.echo(orjson.dumps(value, default=str).decode())


def group(about: str) -> typer.Typer:
    """A group of commands; ``about`` is its help text."""
    return typer.Typer(help=about, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


JournalDir = Annotated[
    Path | None, typer.Option("--journal-dir", "--journal", help="The journal; without it, the settings'.")
]


Patience = Annotated[
    float, typer.Option(help="Seconds to go on while MLflow takes nothing; of `ship`, only with --once.", min=0)
]


def journal_directory(given: Path | None) -> Path:
    """The journal that is meant.

    Raises:
        ConfigError: there is none.
    """
    found = settings.load(journal_dir=given).journal_dir
    if not found.is_dir():
        where = "--journal-dir" if given else "TIERLENS_JOURNAL_DIR"
        raise ConfigError(
            where, "", f"{found}", "is not there: give the folder of a journal, or record something first"
        )
    return found


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A plain table; cells are text, never markup."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console().print(table)


def console() -> Console:
    """Where rich writes to: the terminal, or a pipe."""
    from rich.console import Console

    found = Console()
    if not found.is_terminal:
        # Eighty columns, rich's guess for a pipe, would cut what a program or a log wants whole.
        found.width = _PIPE_WIDTH
    return found


def counted(number: int, one: str, many: str = "") -> str:
    """``1 agent``, ``2 agents``; ``many`` where it is more than ``one`` with an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def megabytes(size: int) -> str:
    """A size for people: ``12.3 MB``."""
    return f"{size / 1_000_000:.1f} MB"
