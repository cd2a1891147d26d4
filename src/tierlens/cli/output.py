"""What commands print: tables for people, JSON for programs.

Much of it was said by others: by agents, by whoever talks to them, by servers. None of it can steer a terminal.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from tierlens import presence, settings
from tierlens.errors import ConfigError
from tierlens.journal.segment import (
    BLOBS,
    CONFIGURATIONS,
    DEAD_LETTER,
    FORGOTTEN,
    PAUSED,
    SHIPPER_LOCK,
    TOTALS,
    writers,
)

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH: Final = 320
# Columns of a table that only names its values: it can be folded, but not told in another way.
_NAMED: Final = 2
_ANY_WIDTH: Final = 100_000
_OURS: Final = (BLOBS, CONFIGURATIONS, DEAD_LETTER, FORGOTTEN, PAUSED, SHIPPER_LOCK, TOTALS)

Tell = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much; 0 where nobody knows."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


# JSON escapes the control characters below a space itself; terminals act on these as well.
_ACTED_ON: Final = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def print_json(value: Any) -> None:
    typer.echo(_json(value, orjson.OPT_INDENT_2))


def print_json_line(value: Any) -> None:
    """One of many values, on a line of its own."""
    typer.echo(_json(value))


def _json(value: Any, option: int = 0) -> str:
    text = orjson.dumps(value, option=option, default=_plain_value).decode()
    return _ACTED_ON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _plain_value(value: Any) -> Any:
    return sorted(value) if isinstance(value, Set) else str(value)


def plain(text: str, keep: str = "") -> str:
    """The text without anything that a terminal would act on; ``keep``: characters that stay all the same."""
    return "".join(letter if letter.isprintable() or letter in keep else " " for letter in text)


def group(about: str) -> typer.Typer:
    """A group of commands; ``about`` is its help text."""
    return typer.Typer(help=about, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


JournalDir = Annotated[
    Path | None, typer.Option("--journal-dir", "--journal", help="The journal; without it, the settings'.")
]
ConfigDir = Annotated[
    Path | None, typer.Option("--config-dir", help="The folder; without it, as the settings have it.")
]

Patience = Annotated[
    float, typer.Option(help="Seconds to go on while MLflow takes nothing; of `ship`, only with --once.", min=0)
]


def journal_directory(given: Path | None) -> Path:
    """The journal that is meant; a folder that is still empty is one to be.

    Raises:
        ConfigError: there is none.
    """
    found = settings.load(journal_dir=given).journal_dir
    where = "--journal-dir" if given else "TIERLENS_JOURNAL_DIR"
    mend = "give the folder of a journal, or record something first"
    if not presence.is_dir(found):
        wrong = "is no folder" if presence.exists(found) else "is not there"
        raise ConfigError(where, "", f"{found}", f"{wrong}: {mend}")
    if not (_is_empty(found) or _is_journal(found)):
        raise ConfigError(where, "", f"{found}", f"is no journal, and holds other files: {mend}")
    return found


def _is_empty(directory: Path) -> bool:
    # A volume comes with a folder of its file system's own.
    return all(path.name.startswith(".") or path.name == "lost+found" for path in directory.iterdir())


def _is_journal(directory: Path) -> bool:
    return bool(writers(directory)) or any(presence.exists(directory / name) for name in _OURS)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], where: Callable[[], Console] | None = None
) -> None:
    """A plain table; cells are text, never markup. Where it is too narrow for one, a block of lines for each row."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table
    from rich.text import Text

    out = (where or console)()
    cells = [[plain(str(cell)) for cell in row] for row in rows]
    table = Table(*(Column(name, overflow="fold") for name in columns), box=SIMPLE_HEAD, pad_edge=False)
    for row in cells:
        table.add_row(*map(Text, row))
    needed = out.measure(table, options=out.options.update(max_width=_ANY_WIDTH)).minimum
    if len(columns) <= _NAMED or needed <= out.width:
        out.print(table)
        return
    longest = max(map(len, columns))
    for row in cells:
        lines = [f"{name:<{longest}}  {cell}" for name, cell in zip(columns, row, strict=True) if cell]
        out.print(Text("\n".join(lines)), "", sep="\n", soft_wrap=True)


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


def moment(milliseconds: int) -> str:
    """A time for people, in UTC: ``2026-11-21 12:00``."""
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M")


@contextlib.contextmanager
def telling(*, show: bool) -> Iterator[Tell]:
    """A line on the terminal, where there is one, that says what is being done."""
    if not (show and sys.stderr.isatty()):
        yield lambda doing, done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda doing, done, of: bar.update(task, description=doing, completed=done, total=of or None)
