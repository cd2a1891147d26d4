"""Overhead and delivery of every tracer, variant by variant in turn, round by round."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.performance.probes.tracers import PEERS
from tests.performance.rows import Reading, ratios
from tests.performance.stage import Backend, ProbeFailed, Stage, say

OURS, OTHER_SHIPPER, AUTOLOG = "tierlens", "tierlens-thread", "mlflow"
VARIANTS = (AUTOLOG, OURS, *PEERS, OTHER_SHIPPER)
Rounds = Mapping[str, Sequence[Mapping[str, Any]]]


def overhead(stage: Stage, variants: Sequence[str] = VARIANTS) -> dict[str, Reading]:
    """Rows of added time, CPU, memory and of traces delivered."""
    taken, failed = _measured(stage, variants)
    for name, figures in table(taken):
        say(f"    {name:17} {figures}")
    if OURS not in taken:
        raise ProbeFailed(failed[OURS])
    readings = {"memory_mb": _memory(taken)}
    if AUTOLOG in taken:
        readings |= _against_autolog(taken)
    else:
        rows = ("added_p50_mlflow", "added_cpu_mlflow", "delivered_mlflow")
        readings |= {row: Reading(failed=failed.get(AUTOLOG, "not among the variants")) for row in rows}
    readings["added_p50_peer"] = _against_peers(taken, failed)
    return readings


def _measured(stage: Stage, variants: Sequence[str]) -> tuple[Rounds, dict[str, str]]:
    taken: dict[str, list[Mapping[str, Any]]] = {}
    failed: dict[str, str] = {}
    with stage.backend("overhead") as backend:
        for turn in range(stage.rounds):
            say(f"overhead, round {turn + 1} of {stage.rounds}")
            for name in (name for name in variants if name not in failed):
                try:
                    taken.setdefault(name, []).append(_one(stage, name, backend))
                except ProbeFailed as error:
                    say(f"  {name} FAILED: {error}")
                    failed[name] = str(error)
                    taken.pop(name)
    return taken, failed


def _one(stage: Stage, name: str, backend: Backend) -> dict[str, Any]:
    peer = name in PEERS
    return stage.probe("overhead", name, stage.n, backend=None if peer else backend, peer=peer)


def table(taken: Rounds) -> Iterator[tuple[str, str]]:
    """Every variant's own figures, in words."""
    shown = {
        "added_p50_ms": "ms",
        "added_p99_ms": "ms p99",
        "added_thread_cpu_ms": "ms CPU of the agent's thread",
        "added_cpu_ms": "ms CPU in all",
        "rss_added_mb": "MB",
        "rss_children_mb": "MB of its own processes",
    }
    for name, rounds in taken.items():
        words = [f"{median(rounds, key):.2f} {unit}" for key, unit in shown.items() if key in rounds[0]]
        if "stored_per_s" in rounds[0]:
            stored = f"{median(rounds, 'stored'):.0f} of {rounds[0]['emitted']} stored"
            words += [f"{median(rounds, 'stored_per_s'):.1f} traces/s", stored]
        yield name, ", ".join(words)


def values(rounds: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    return [figures[key] for figures in rounds]


def median(rounds: Sequence[Mapping[str, Any]], key: str) -> float:
    return statistics.median(values(rounds, key))


def _against_autolog(taken: Rounds) -> dict[str, Reading]:
    ours, theirs, other = taken[OURS], taken[AUTOLOG], taken.get(OTHER_SHIPPER)
    p50 = f"{median(theirs, 'added_p50_ms'):.2f} / {median(ours, 'added_p50_ms'):.2f} ms; the agent's thread's CPU"
    p50 += f" {median(theirs, 'added_thread_cpu_ms'):.2f} / {median(ours, 'added_thread_cpu_ms'):.2f} ms"
    cpu = f"{median(theirs, 'added_cpu_ms'):.2f} / {median(ours, 'added_cpu_ms'):.2f} ms"
    cpu += f"; of ours {median(ours, 'added_cpu_own_ms'):.2f} ms in the agent's process"
    rate = f"{median(ours, 'stored_per_s'):.1f} / {median(theirs, 'stored_per_s'):.1f} traces/s"
    rate += f"; autolog stored {median(theirs, 'stored'):.0f} of {theirs[0]['emitted']}"
    if other:
        p50 += f"; {OTHER_SHIPPER} {median(other, 'added_p50_ms'):.2f}"
        cpu += f"; {OTHER_SHIPPER} {median(other, 'added_cpu_ms'):.2f}"
        cpu += f", {median(other, 'added_cpu_own_ms'):.2f} in the agent's"
        rate += f"; {OTHER_SHIPPER} {median(other, 'stored_per_s'):.1f}"
    n = theirs[0]["n"]
    return {
        "added_p50_mlflow": _ratio(theirs, ours, "added_p50_ms", f"{n} invocations, bare and traced by turns", p50),
        "added_cpu_mlflow": _ratio(theirs, ours, "added_cpu_ms", "process and children, until flushed", cpu),
        "delivered_mlflow": _ratio(ours, theirs, "stored_per_s", "whole traces in the database", rate),
    }


def _ratio(
    above: Sequence[Mapping[str, Any]], below: Sequence[Mapping[str, Any]], key: str, how: str, beside: str
) -> Reading:
    return Reading(ratios(values(above, key), values(below, key)), how, beside)


def _against_peers(taken: Rounds, failed: Mapping[str, str]) -> Reading:
    peers = {name: median(taken[name], "added_p50_ms") for name in PEERS if name in taken}
    lost = [f"{name} failed" for name in PEERS if name in failed]
    if not peers:
        return Reading(failed="; ".join(f"{name}: {failed[name]}" for name in PEERS if name in failed) or "no peers")
    fastest = min(peers, key=lambda name: peers[name])
    words = [f"{name} {added:.2f} ms" for name, added in sorted(peers.items(), key=lambda pair: pair[1])]
    return _ratio(taken[fastest], taken[OURS], "added_p50_ms", f"fastest: {fastest}", ", ".join(words + lost))


def _memory(taken: Rounds) -> Reading:
    ours = taken[OURS]
    others = [name for name in (OTHER_SHIPPER, AUTOLOG, *PEERS) if name in taken]
    beside = [f"the shipping process by itself {median(ours, 'rss_children_mb'):.0f} MB"]
    beside += [f"{name} {median(taken[name], 'rss_added_mb'):.0f} MB" for name in others]
    return Reading(tuple(values(ours, "rss_added_mb")), "growth of the peak resident size", ", ".join(beside))
