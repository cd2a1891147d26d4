"""A graph that waits for a person is two traces: this ties the second to the first, with the time between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from langgraph.errors import GraphDrained

from tierlens import keys
from tierlens.capture import outcomes
from tierlens.capture.graphs import is_edited, paused_at
from tierlens.capture.outcomes import Outcome
from tierlens.capture.recorder import Recorder
from tierlens.capture.tagging import add_tags
from tierlens.capture.trace import Context, Open
from tierlens.journal.pauses import LAST, WAITING, Pause, Pauses
from tierlens.spans import Link, mlflow_id


def of_thread(
    context: Context, pauses: Pauses, metadata: Mapping[str, Any], read_brand: bool, recorder: Recorder
) -> Context:
    """``context`` with what the thread's last trace left, whether this one answers its pause, goes on from a state that
    was edited, or is the next turn: what stays private, and its brand where the inputs name none."""
    wanted = recorder.policies.keeps_secrets or (read_brand and context.brand is None)
    thread = metadata.get("thread_id") if wanted else None
    last = pauses.recall(str(thread), LAST) if thread else None
    if last is None:
        return context
    brand = context.brand or (last.brand if read_brand else "") or None
    return replace(context, brand=brand, private=frozenset(last.private))


def leave(opened: Open, pauses: Pauses, read_brand: bool) -> None:
    """A root of a thread has ended: leave for the thread's next trace what `of_thread` reads."""
    trace = opened.trace
    private = trace.private.digests()
    paused = read_brand and opened.outcome is not None and opened.outcome.word == outcomes.INTERRUPTED
    if opened.recording and (private or paused):
        pauses.remember(trace.thread, LAST, Pause(trace.trace_id, opened.span_id, trace.now(), private, trace.brand))


def interrupted(opened: Open, pauses: Pauses, checkpoint: str, interrupts: Sequence[object], status: str) -> None:
    """The graph run ``opened`` pauses: its outcome from here on is interrupted, with what it asks the human."""
    detail = outcomes.interrupt_payload(list(interrupts)) if interrupts else status
    opened.outcome = Outcome(outcomes.INTERRUPTED, detail)
    if opened.trace.session and opened.recording:
        trace = opened.trace
        pause = Pause(trace.trace_id, opened.span_id, trace.now(), trace.private.digests())
        pauses.remember(opened.trace.session, checkpoint, pause)
        pauses.remember(opened.trace.session, WAITING, replace(pause, checkpoint=checkpoint))
        if checkpoint == opened.resumed_at:
            opened.resumed_at = ""


def stopped(opened: Open, pauses: Pauses, error: BaseException) -> None:
    """The graph run ``opened`` was drained, or left by whoever it streamed a question to: pauses that no callback is
    told of."""
    drained = error.reason if isinstance(error, GraphDrained) else ""
    left = opened.waiting and outcomes.of_exception(error).word in outcomes.LEFT
    if (drained or left) and (checkpoint := paused_at(error)):
        interrupted(opened, pauses, checkpoint, opened.waiting, drained)


def resumed(opened: Open, pauses: Pauses, checkpoint: str) -> None:
    """The graph run ``opened`` goes on from a pause: link it to the trace that paused, if this journal knows it."""
    opened.outcome = opened.outcome or Outcome(outcomes.RESUMED)
    opened.resumed_at, pause = _pause_at(opened.trace.session, pauses, checkpoint)
    if pause is None or pause.trace_id == opened.trace.trace_id:
        return
    if pause.private:
        opened.trace.private.expected |= frozenset(pause.private)
        opened.trace.ledger.heads = False
    if not pause.trace_id:
        # It was erased, and only what it kept private is still to be kept.
        return
    waited = round(max(opened.start_ns - pause.paused_ns, 0) / 1e9, 3)
    opened.attributes[keys.RESUMED_FROM] = mlflow_id(pause.trace_id)
    opened.attributes[keys.WAITED_S] = waited
    opened.links += (Link(pause.trace_id, pause.span_id, {keys.WAITED_S: waited}),)
    if opened.parent is None:
        add_tags(opened.attributes, {"resumed_from": mlflow_id(pause.trace_id), "waited_s": waited})


def _pause_at(thread: str | None, pauses: Pauses, checkpoint: str) -> tuple[str, Pause | None]:
    """The pause that a resume at ``checkpoint`` ends, and the checkpoint it is known by: whoever edits the state of a
    thread that waits makes another one, after that it paused at."""
    pause = pauses.recall(thread, checkpoint) if thread else None
    if thread and pause is None and is_edited() and (waiting := pauses.recall(thread, WAITING)) is not None:
        return waiting.checkpoint, waiting
    return checkpoint, pause


def moved_on(opened: Open, pauses: Pauses) -> None:
    """The graph run ``opened`` has got past the pause it resumed from: nothing will resume there again."""
    if not opened.trace.session:
        return
    pauses.forget(opened.trace.session, opened.resumed_at)
    if opened.outcome is None or opened.outcome.word != outcomes.INTERRUPTED:
        pauses.forget(opened.trace.session, WAITING)
