"""Rows 11, 13, 14 and 15: a server that answers oddly."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.faults.gate import Arrival, fine, is_spans, scripted
from tests.faults.rows import Finding, at_least, at_most, equal
from tests.faults.scene import Scene
from tests.faults.workers import appending
from tierlens import keys
from tierlens.shipping.deadletter import DeadLetters
from tierlens.testing.http_stub import OK, Recorded, Reply

RETRY_AFTER_S: Final = 2.0
ONE_MB: Final = 1 << 20
TOKENS: Final = 7
LOST_ANSWERS: Final = 6
METRICS: Final = {"confidence": 0.5, "grounded": True}


def overloaded(scene: Scene) -> Finding:
    """Row 11: refused for now, in every way a server has of saying so."""
    wish = {"Retry-After": f"{RETRY_AFTER_S:g}"}
    odd = [Reply(429, wish), Reply(500), Reply(503), Reply(503, wish), Reply(429, wish)]
    gate = scene.gate(scripted(*odd))
    with scene.sidecar(gate.uri):
        scene.start(appending.some, scene.short_or_full(1_000, 20_000)).join()
        scene.until(lambda: len(gate.span_posts) >= len(odd))
        recovery = scene.fresh()
        scene.drain()
        spans = scene.verdict()
    waited = _waits_after(gate.span_posts[: len(odd) + 1], [reply.headers == wish for reply in odd])
    checks = (
        at_least("Retry-After 2 s, shortest wait", min(waited), RETRY_AFTER_S * 0.8, " s"),
        at_most("longest", max(waited), RETRY_AFTER_S * 1.2, " s"),
        equal("odd answers", len([post for post in gate.span_posts if post.status >= 400]), len(odd)),
    )
    return Finding(spans, recovery, checks)


def _waits_after(posts: Sequence[Arrival], wished: Sequence[bool]) -> list[float]:
    """Seconds from each answer that wished for a pause until the next request."""
    return [
        later.at - answer.answered_at for (answer, later), wish in zip(pairwise(posts), wished, strict=True) if wish
    ]


class LosesAnswers:
    """Takes every request, and often closes the connection instead of answering: every third post of spans, and
    the first three; every fiftieth of anything else, of which a batch with metrics needs one a trace."""

    def __init__(self) -> None:
        self._chance, self.lost = random.Random(13), 0

    def __call__(self, request: Recorded) -> Reply:
        share = 1 / 3 if is_spans(request) else 1 / 50
        if self.lost >= 3 and self._chance.random() > share:
            return OK
        self.lost += 1
        return Reply(close=True)


def answer_lost(scene: Scene) -> Finding:
    """Row 13: everything is taken, and often nobody hears of it."""
    count = scene.short_or_full(1_000, 20_000)
    rule = LosesAnswers()
    gate = scene.gate(rule)
    with scene.sidecar(gate.uri):
        scene.start(appending.some, count, tokens=TOKENS, metrics=METRICS).join()
        scene.until(lambda: rule.lost >= LOST_ANSWERS)
        gate.rule = fine
        recovery = scene.fresh()
        scene.drain()
        scene.until(lambda: scene.backend.assessments(scene.experiment)[1] >= count // 10 * len(METRICS))
        spans = scene.verdict()
    rows, told = scene.backend.assessments(scene.experiment)
    checks = (
        at_least("answers lost", rule.lost, LOST_ANSWERS),
        equal("tokens", scene.backend.tokens(scene.experiment), count // 10 * 9 * TOKENS),
        equal("metrics", rows, count // 10 * len(METRICS)),
        equal("of them doubled", rows - told, 0),
    )
    return Finding(spans, recovery, checks, (f"on {scene.backend.kind}",))


def dropping(share: float, seed: int, dropped: list[str]) -> Callable[[bytes], bytes]:
    """Takes a share of the spans out of a request, and writes down which."""
    chance = random.Random(seed)

    def tamper(body: bytes) -> bytes:
        request = ExportTraceServiceRequest.FromString(body)
        for scope in (scope for resource in request.resource_spans for scope in resource.scope_spans):
            kept = [span for span in scope.spans if chance.random() >= share]
            dropped.extend(span.span_id.hex() for span in scope.spans if span not in kept)
            del scope.spans[:]
            scope.spans.extend(kept)
        return request.SerializeToString()

    return tamper


def not_stored(scene: Scene) -> Finding:
    """Row 14: a server that answers 200 and keeps 99 of 100 spans."""
    dropped: list[str] = []
    gate = scene.gate()
    gate.tampers = dropping(0.01, 14, dropped)
    count = scene.short_or_full(1_000, 20_000)
    with scene.sidecar(gate.uri):
        scene.start(appending.some, count).join()
        scene.until(lambda: scene.backend.count(scene.experiment) + len(dropped) >= count)
        gate.tampers = bytes
        recovery = scene.fresh()
    missing = len(scene.verdict().lost)
    code, said = scene.tierlens("journal", "verify", "--journal-dir", str(scene.journal))
    spans = scene.verdict()
    checks = (
        at_least("dropped by the server", missing, 1),
        equal("left after `tierlens journal verify`", len(spans.lost), 0),
    )
    return Finding(spans, recovery, checks, () if code == 0 else (f"`tierlens journal verify`: {said}",))


def too_large(scene: Scene) -> Finding:
    """Row 15: one span of 3 MB among many of 64 KB, and a server that takes requests of 1 MB."""
    gate = scene.gate(_at_most_a_megabyte)
    count = scene.short_or_full(100, 750)
    with scene.sidecar(gate.uri):
        scene.start(appending.one_large_among_many, count, 64 << 10, 3 * ONE_MB).join()
        (large,) = scene.ledger.wait_for("large")
        scene.drain()
        recovery = scene.fresh()
    large_id = large["span"]
    stored = scene.backend.contents(scene.experiment)[large_id]
    spans = scene.verdict(changed={large_id})
    whole = _letters(scene).get(large_id, "")
    shown = orjson.loads(stored["attributes"][keys.INPUTS])
    checks = (
        at_least("refused with 413", sum(post.status == 413 for post in gate.span_posts), 1),
        equal("the large one is whole in the dead-letter", len(whole) > 3 * ONE_MB, True),
        equal("stored with its digest", shown.get("sha256"), hashlib.sha256(whole.encode()).hexdigest()),
    )
    return Finding(spans, recovery, checks)


def _at_most_a_megabyte(request: Recorded) -> Reply:
    return Reply(413) if is_spans(request) and len(request.body) > ONE_MB else OK


def _letters(scene: Scene) -> dict[str, str]:
    """The inputs of every span in the dead-letter folder."""
    found = {}
    for _, _, line in DeadLetters(scene.journal).all():
        attributes: list[dict[str, Any]] = orjson.loads(line.payload)["attributes"]
        found[line.span] = next(each["value"]["stringValue"] for each in attributes if each["key"] == keys.INPUTS)
    return found
