"""The table of faults, row by row.

    python -m tests.faults [--only 1,4] [--skip 14] [--full] [--real-hour] [--patience 4]
                           [--json FILE] [--markdown FILE]

``FAULTS=full`` is ``--full``: the long forms. Progress goes to stderr; the table and one JSON line to stdout. The exit
code is 1 if a row failed; with ``--patience 4``, on a machine that does other things as well, not if only times were
missed, and by less than that.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.faults import report
from tests.faults.backend import Backend, postgres_backend, sqlite_backend
from tests.faults.rows import Result, Row
from tests.faults.scene import Form, Scene
from tests.faults.table import ROWS


class Backends:
    """The servers that rows run against, each started for the first row that wants it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._started: dict[str, Backend] = {}

    def of(self, row: Row) -> Backend:
        kind = row.backend
        if kind not in self._started:
            say(f"starting MLflow on {kind}")
            start = postgres_backend if kind == "PostgreSQL" else sqlite_backend
            self._started[kind] = self._stack.enter_context(start(self._folder / f"mlflow-{kind}"))
        return self._started[kind]


def results(rows: Collection[Row], folder: Path, form: Form) -> Iterator[Result]:
    """Each row's result, as it comes; a row that breaks off is one that says so."""
    with ExitStack() as stack:
        backends = Backends(folder, stack)
        for row in rows:
            say(f"row {row.key}: {row.fault}")
            backend, began = backends.of(row), time.monotonic()
            try:
                with Scene(row.number, folder / row.key, backend, lambda text: say(f"  {text}"), form) as scene:
                    finding, broke = row.run(scene), ""
            except Exception as error:  # one row's failure must not cost the others
                traceback.print_exc()
                say(_end_of(folder / row.key / "workers.log"))
                finding, broke = None, f"{type(error).__name__}: {error}"
            result = Result(row, finding, time.monotonic() - began, broke)
            say(f"  {'passed' if result.passed() else 'FAILED'} in {result.took_s:.1f} s")
            yield result


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2_000:] if log.exists() else ""


def say(text: str) -> None:
    """A line of progress on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=_numbers, default=None, metavar="1,4", help="these rows")
    parser.add_argument("--skip", type=_numbers, default=frozenset(), metavar="14", help="all but these")
    parser.add_argument("--full", action="store_true", default=os.environ.get("FAULTS") == "full", help="long forms")
    parser.add_argument("--real-hour", action="store_true", help="row 10 by the real clock")
    parser.add_argument("--patience", type=float, default=1.0, help="exit 0 where times are so many times their bounds")
    parser.add_argument("--json", type=Path, help="write the JSON there too")
    parser.add_argument("--markdown", type=Path, help="write the table there too")
    given = parser.parse_args()
    wanted = [row for row in ROWS if (not given.only or row.number in given.only) and row.number not in given.skip]
    with tempfile.TemporaryDirectory(prefix="tierlens-faults-") as folder:
        found = list(results(wanted, Path(folder), Form(given.full, 3600 * given.real_hour)))
    report.show(found, given.full)
    line = report.as_json(found, given.full)
    print(json.dumps(line))
    if given.json:
        given.json.write_text(json.dumps(line, indent=1) + "\n")
    if given.markdown:
        given.markdown.write_text(report.as_markdown(found))
    return int(not all(result.passed(given.patience) for result in found))


def _numbers(text: str) -> frozenset[int]:
    return frozenset(int(number) for number in text.split(","))
