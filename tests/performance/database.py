"""What MLflow's SQLite file really holds, read beside the server: no client's word is taken for it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

SPANS_A_TRACE = 25
TOKEN_FIELDS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_WHOLE = "select count(*) from (select 1 from spans group by trace_id having count(*) >= ?)"


class Stored(NamedTuple):
    """How many traces there are, how many of them with all their spans, and how many spans in all."""

    traces: int
    whole: int
    spans: int

    def since(self, before: Stored) -> Stored:
        return Stored(*(now - then for now, then in zip(self, before, strict=True)))


def stored(database: Path) -> Stored:
    with _reading(database) as connection:
        (traces,) = connection.execute("select count(*) from trace_info").fetchone()
        (whole,) = connection.execute(_WHOLE, (SPANS_A_TRACE,)).fetchone()
        (spans,) = connection.execute("select count(*) from spans").fetchone()
    return Stored(traces, whole, spans)


def size(database: Path) -> int:
    """Bytes of the database with nothing left in its log."""
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    return database.stat().st_size


def tokens(database: Path) -> Counter[str]:
    """Sums of the traces' token totals, by kind; cache tokens are part of the input tokens."""
    sums = ", ".join(f"coalesce(sum({name}), 0)" for name in TOKEN_FIELDS)
    with _reading(database) as connection:
        found = connection.execute(f"select {sums} from trace_info").fetchone()
    return Counter(dict(zip(TOKEN_FIELDS, found, strict=True)))


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    # Closed at once: a reader's lock would hold up the server's next commit.
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)) as connection:
        yield connection
