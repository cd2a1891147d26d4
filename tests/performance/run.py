"""Overhead and delivery figures, each row of the table in one run.

    python -m tests.performance.run [--n 200] [--rounds 3] [--peers PYTHON] [--only PART ...] [--json FILE]

Every variant runs in a process of its own, bare first and then traced; variants take turns, round by round, and a
row's figure is the median of its rounds, so that what else the machine does touches all alike. Progress goes to
stderr; the table and one JSON line to stdout. The exit code is 1 if something could not be measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.performance import agent, content, delivery, machine, report
from tests.performance.loopback import loopback
from tests.performance.overhead import overhead
from tests.performance.rows import PARTS, ROWS, Reading, Row
from tests.performance.stage import Stage, say

Part = Callable[[Stage], Mapping[str, Reading]]

MEASURES: Mapping[str, Part] = {
    "overhead": overhead,
    "limit": delivery.limit,
    "runs": delivery.runs,
    "stored": delivery.stored,
    "streaming": agent.streaming,
    "importing": agent.importing,
    "ledger": content.ledger,
    "privacy": content.privacy,
    "growth": content.growth,
    "append": agent.append,
    "redaction": agent.redaction,
}


def measured(stage: Stage, parts: Sequence[str]) -> dict[Row, Reading]:
    """A reading for every row of the parts; what cannot be measured is one that says so."""
    readings: dict[Row, Reading] = {}
    for part in parts:
        say(part)
        rows = [row for row in ROWS if row.part == part]
        try:
            found = MEASURES[part](stage)
        except Exception as error:  # one part's failure must not cost the others
            traceback.print_exc()
            found = {row.key: Reading(failed=f"{type(error).__name__}: {error}") for row in rows}
        readings |= {row: found.get(row.key, Reading(failed="not measured")) for row in rows}
    return readings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=200, help="invocations a variant and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, help="the interpreter of the peers' environment")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--json", type=Path, help="write the JSON there too")
    given = parser.parse_args()
    # Not resolved: the link in its folder is what makes it that environment's interpreter.
    peers = given.peers.absolute() if given.peers else None
    with tempfile.TemporaryDirectory(prefix="tierlens-bench-") as folder, loopback() as sink_url:
        readings = measured(Stage(peers, sink_url, given.n, given.rounds, Path(folder)), given.only)
    environment = machine.environment(peers)
    report.show(readings, environment)
    figures = {"environment": environment, "rows": {row.key: each.as_json(row) for row, each in readings.items()}}
    print(json.dumps(figures))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")
    return int(any(each.failed for each in readings.values()))


if __name__ == "__main__":
    sys.exit(main())
