"""``tierlens journal stat`` and ``tail``: looking, and moving nothing."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tierlens import settings
from tierlens.cli.output import (
    AsJson,
    JournalDir,
    journal_directory,
    megabytes,
    plain,
    print_json,
    print_json_line,
    print_table,
)

if TYPE_CHECKING:
    from tierlens.journal.follow import Written
    from tierlens.upkeep.survey import Survey

_FOLLOW_S: Final = 0.2


def _a_number(bound: float | None) -> float | None:
    # Nothing is more than it, and not every click refuses it.
    if bound is not None and math.isnan(bound):
        raise typer.BadParameter("nan is no bound")
    return bound


def stat(
    journal_dir: JournalDir = None,
    as_json: AsJson = False,
    max_lag: Annotated[
        float | None,
        typer.Option(min=0, callback=_a_number, help="Exit with 1 if a span has waited for more seconds."),
    ] = None,
    max_share: Annotated[
        float | None,
        typer.Option(min=0, max=1, callback=_a_number, help="Exit with 1 above this share of the quota, 0 to 1."),
    ] = None,
) -> None:
    """Say who writes, what waits, what was stored and what was not.

    Nothing is locked or moved; spans that are written meanwhile may be counted or not. The exit code is 1 where
    a bound given by --max-lag or --max-share is passed.

    Examples:

      tierlens journal stat

      tierlens journal stat --json --max-lag 300 --max-share 0.8
    """
    from tierlens.upkeep.survey import survey

    directory = journal_directory(journal_dir)
    found = survey(directory)
    quota = settings.load(journal_dir=journal_dir).journal_quota_mb << 20
    now = time.time_ns()
    summary = _summary(found, quota, now)
    if as_json:
        print_json({"journal": str(directory), **summary, "writers": [asdict(one) for one in found.writers]})
    else:
        print_table(("journal", str(directory)), _rows(summary))
        if found.writers:
            _print_writers(found, now)
    late = max_lag is not None and found.lag_s(now) > max_lag
    if late or (max_share is not None and found.size / quota > max_share):
        raise typer.Exit(1)


def _summary(found: Survey, quota: int, now_ns: int) -> dict[str, Any]:
    return {
        "writers_alive": found.living,
        "writers_dead": found.orphaned,
        "shipper_pid": found.shipper,
        "shipper_failing": found.failing,
        "bytes": found.size,
        "quota_bytes": quota,
        "quota_share": round(found.size / quota, 4),
        "disk_free_bytes": found.free,
        "segments": sum(writer.segments for writer in found.writers),
        "pending": found.pending,
        "open": found.open,
        "stored": found.stored,
        "refused": dict(found.refused),
        "damaged": found.damaged,
        "oldest_pending_ns": found.oldest_ns,
        "lag_s": round(found.lag_s(now_ns), 3),
        "dead_letters": dict(found.dead_letters),
    }


def _rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    exact = {**summary, "quota_share": f"{summary['quota_share']:.1%}", "lag_s": f"{summary['lag_s']:.1f}"}
    del exact["oldest_pending_ns"]
    return [(name.replace("_", " "), _shown(value)) for name, value in exact.items()]


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{reason}: {count:,}" for reason, count in value.items()) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return value if isinstance(value, str) else f"{value:,}"


def _print_writers(found: Survey, now_ns: int) -> None:
    rows = [
        (
            writer.name,
            "alive" if writer.alive else "dead",
            writer.segments,
            megabytes(writer.size),
            writer.pending,
            writer.stored,
            _shown(dict(writer.refused)),
            writer.damaged,
            writer.open,
            f"{max(now_ns - writer.oldest_ns, 0) / 1e9:.1f} s" if writer.oldest_ns else "",
        )
        for writer in found.writers
    ]
    print_table(
        ("writer", "", "segments", "size", "pending", "stored", "refused", "damaged", "open", "oldest waits"), rows
    )


def tail(
    journal_dir: JournalDir = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on, with records as they come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of those that are there.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show the records of the journal as they come: starts, spans, losses.

    What has been delivered and removed is not there any more. With --json, one object a line.

    Examples:

      tierlens journal tail

      tierlens journal tail -f --json
    """
    from tierlens.journal.follow import Follower
    from tierlens.journal.moments import latest_ns

    follower = Follower(journal_directory(journal_dir))
    show = _print_record_json if as_json else _print_record
    there = heapq.nlargest(lines or 1, enumerate(follower.read()), key=lambda one: (latest_ns(one[1].line), one[0]))
    for _, written in reversed(there[:lines]):
        show(written)
    while follow:
        time.sleep(_FOLLOW_S)
        for written in follower.read():
            show(written)


def _record(written: Written) -> dict[str, Any]:
    import orjson

    from tierlens.journal.moments import latest_ns

    line = written.line
    span = orjson.loads(line.payload) if line.payload else {}
    status = {1: "OK", 2: "ERROR"}.get(span.get("status", {}).get("code"), "UNSET")
    return {
        "time_ns": latest_ns(line),
        "kind": line.kind,
        "writer": written.writer,
        "trace": line.trace,
        "span": line.span,
        "root": line.root,
        "name": span.get("name", ""),
        "status": status if line.kind == "span" else "",
        "experiment": line.experiment,
        "bytes": len(line.payload),
        "refused": dict(line.refused or {}),
    }


def _print_record_json(written: Written) -> None:
    print_json_line(_record(written))


def _print_record(written: Written) -> None:
    said = _record(written)
    moment = time.strftime("%H:%M:%S", time.localtime(said["time_ns"] / 1e9)) if said["time_ns"] else "--:--:--"
    if said["kind"] == "loss":
        typer.echo(f"{moment} loss   {written.writer} refused {_shown(said['refused'])}")
        return
    mark = "root" if said["root"] else "    "
    shown = (
        f"{moment} {said['kind']:<5} {said['trace']} {said['span']} {mark} {said['status']:<5} "
        f"{said['bytes']:>7,} B  {said['name']}  ({said['experiment']})"
    )
    typer.echo(plain(shown))
