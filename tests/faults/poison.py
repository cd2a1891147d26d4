"""Row 16: poison."""

from __future__ import annotations

from tests.faults.rows import Finding, at_most, equal
from tests.faults.scene import Scene
from tests.faults.workers import poisoned
from tierlens.shipping.deadletter import DeadLetters


def among_innocents(scene: Scene) -> Finding:
    """Poisonous values through the public interface, and poisonous spans straight into the journal."""
    with scene.sidecar():
        codes = [scene.start(work).join(180) for work in (poisoned.swallow_all, poisoned.past_capture)]
        recovery = scene.fresh()
        scene.drain()
        scene.until(lambda: not _unaccounted(scene), 20.0)
        swallowed = [note["span"] for note in scene.ledger.noted("changed")]
        spans = scene.verdict(changed=swallowed)
    notes = scene.ledger.noted("swallowed")
    letters = _letters(scene)
    checks = (
        equal("hosts' exit codes", codes, [0, 0]),
        equal("calls that returned their value", sum(note["same"] for note in notes), len(poisoned.values())),
        equal("poison neither stored nor set aside", len(_unaccounted(scene)), 0),
        equal("innocents set aside", len(letters - {note["span"] for note in scene.ledger.noted("poison")}), 0),
        at_most("set aside", len(letters), len(scene.ledger.noted("poison"))),
    )
    said = f"{len(notes)} values through the interface, {len(scene.ledger.noted('poison'))} spans past it"
    return Finding(spans, recovery, checks, (said,))


def _unaccounted(scene: Scene) -> set[str]:
    """Poisonous spans that the journal accepted, and that are nowhere now."""
    poison = {note["span"] for note in scene.ledger.noted("poison")}
    return poison - _letters(scene) - {row.span_id for row in scene.backend.spans(scene.experiment)}


def _letters(scene: Scene) -> set[str]:
    return {line.span for _, _, line in DeadLetters(scene.journal).all()}
