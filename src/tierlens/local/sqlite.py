"""MLflow's SQLite file: made ready for a server, and left behind as the one file that it was."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path


def log_ahead(database: Path) -> None:
    """Have each commit sync the disk once instead of three times, and readers not hold up the writer.

    By SQLite's write-ahead log, which a database stays in until ``settle``. Where there can be none, as on a
    network's file system, nothing changes.
    """
    _keep_journal(database, "wal")


def settle(database: Path) -> None:
    """Put what is in the log into the database itself; a process that still uses it keeps it as it is."""
    if database.exists():
        _keep_journal(database, "delete")


def _keep_journal(database: Path, mode: str) -> None:
    # What is wrong with the file, MLflow says better.
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(database, timeout=1)) as connection:
        connection.execute(f"pragma journal_mode={mode}")
