"""Tables are read whole on any terminal."""

from __future__ import annotations

import io

from rich.console import Console

from tierlens.cli.output import print_table

COLUMNS = ("model", "calls", "cost usd")
ROWS = [("claude-sonnet-4-5", 1_234_567, "1234.567890"), ("total", 1_234_567, "")]


def printed(width: int, columns: tuple[str, ...] = COLUMNS, rows: list[tuple[object, ...]] = ROWS) -> list[str]:
    said = io.StringIO()
    print_table(columns, rows, lambda: Console(file=said, width=width))
    return [line.rstrip() for line in said.getvalue().splitlines() if line.strip()]


def test_a_table_has_a_line_for_each_row_where_there_is_room() -> None:
    assert [line.split() for line in printed(80)[2:]] == [
        ["claude-sonnet-4-5", "1234567", "1234.567890"],
        ["total", "1234567"],
    ]


def test_no_number_is_cut_where_there_is_none() -> None:
    assert printed(30) == [
        "model     claude-sonnet-4-5",
        "calls     1234567",
        "cost usd  1234.567890",
        "model     total",
        "calls     1234567",
    ]


def test_names_and_values_are_folded_and_never_cut() -> None:
    lines = printed(30, ("journal", "/var/lib/an-application/journal"), [("stored", 12)])

    assert "".join(line.split()[-1] for line in lines[:2]).endswith("/var/lib/an-application/journal")
    assert lines[-1].split() == ["stored", "12"]
