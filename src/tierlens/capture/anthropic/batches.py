"""Message batches: a span where one is made, and, where its results are read, a trace with a span a result.

The results' trace and spans have ids made from the batch's own, in whichever process they are read and however
often: MLflow then holds each result once. The span that made the batch links to that trace ahead of time. In the
process that has made it the results are its agent's, elsewhere they are of the span that reads them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from tierlens import keys
from tierlens.capture import late, outcomes, payload
from tierlens.capture.anthropic.call import NAME, Call, put_message
from tierlens.capture.opening import span_id_of, trace_id_of
from tierlens.capture.outcomes import FINE, Outcome
from tierlens.capture.recorder import Recorder
from tierlens.capture.shapes import fields
from tierlens.capture.shield import shielded
from tierlens.capture.trace import Context, Open
from tierlens.spans import Link

RESULTS: Final = "anthropic.messages.batches.results"
MOST: Final = 1_000
# A result does not repeat with which temperature it was asked for.
_UNTOLD: Final = (None, None)
_ENDS = {"succeeded": FINE, "canceled": Outcome(outcomes.CANCELLED)}


class BatchCall(Call):
    """The call that makes a batch."""

    kind: ClassVar[str] = "TASK"
    name: ClassVar[str] = "anthropic.messages.batches"

    def describe(self, body: Mapping[str, Any]) -> None:
        requests = list(body.get("requests", ()))
        policy, attributes = self.opened.policy, self.opened.attributes
        attributes[keys.BATCH_REQUESTS] = len(requests)
        shown: object = requests if policy.log_prompts else payload.shape(requests)
        attributes[keys.INPUTS] = payload.capped(payload.encode({"requests": shown}), policy.state.max_bytes).decode()

    def answer(self, answer: Mapping[str, Any]) -> None:
        batch_id = str(answer.get("id", ""))
        self.opened.attributes[keys.BATCH_ID] = batch_id
        shown = {"id": batch_id, "processing_status": answer.get("processing_status")}
        self.opened.attributes[keys.OUTPUTS] = payload.dumps(shown)
        key = key_of(batch_id)
        self.opened.links += (Link(trace_id_of(key), span_id_of(key)),)

    def _close(self, answer: object) -> bool:
        closed = super()._close(answer)
        # Made outside of any span, it is whoever's that reads it.
        if closed and self.opened.parent is not None and (batch_id := fields(answer).get("id")):
            remember(self.recorder, str(batch_id), late.of(self.opened, self.opened.policy))
        return closed


class Results:
    """Observes the results of a batch while they are read.

    Args:
        context: whose they are.
        reader: the span they are read in, if any.
    """

    def __init__(self, recorder: Recorder, batch_id: str, provider: str, reader: Open | None, context: Context) -> None:
        self.shield = recorder.shield
        self._recorder, self._batch_id, self._provider = recorder, batch_id, provider
        self._counts: Counter[str] = Counter()
        self._done = False
        # As an agent's, its calls are counted with the agent's others.
        kind = "AGENT" if context.origin is not None and context.origin.agent else "TASK"
        self._root = recorder.start(key_of(batch_id), RESULTS, kind, parent=None, context=context)
        self._root.attributes |= {keys.BATCH_ID: batch_id, keys.INPUTS: payload.dumps({"batch_id": batch_id})}
        if reader is not None and (link := Link(reader.trace.trace_id, reader.span_id)) not in self._root.links:
            self._root.links += (link,)

    def seen(self, item: Any) -> None:
        custom_id, result = str(item.custom_id), fields(item.result)
        self._counts[str(result.get("type"))] += 1
        root = self._root
        opened = self._recorder.start(
            key_of(self._batch_id, custom_id), NAME, "CHAT_MODEL", parent=root, context=root.trace.context
        )
        try:
            if opened.recording:
                self._put(opened, custom_id, result)
        finally:
            self._recorder.finish(opened, _outcome(result))

    def _put(self, opened: Open, custom_id: str, result: Mapping[str, Any]) -> None:
        opened.asked = _UNTOLD
        opened.attributes |= {
            keys.BATCH_ID: self._batch_id,
            keys.CUSTOM_ID: custom_id,
            keys.PROVIDER: self._provider,
        }
        if message := fields(result.get("message")):
            put_message(self._recorder, opened, message)

    def exhausted(self) -> None:
        self._end(FINE)
        remember(self._recorder, self._batch_id, None)

    def broken(self, error: BaseException) -> None:
        self._end(outcomes.of_exception(error))

    def left(self) -> None:
        self._end(Outcome(outcomes.ABANDONED))

    @shielded
    def _end(self, outcome: Outcome) -> None:
        if self._done:
            return
        self._done = True
        self._root.attributes[keys.BATCH_REQUESTS] = self._counts.total()
        self._root.attributes[keys.OUTPUTS] = payload.dumps(self._counts)
        self._recorder.finish(self._root, outcome)


def watched(recorder: Recorder, batch_id: str, provider: str, reader: Open | None, context: Context) -> Results | None:
    """Who is to observe a batch's results; None where they were read to their end before.

    Args:
        reader: the span they are read in.
        context: for whom they are read, where that is outside any span.
    """
    whose = recorder.batches.get(batch_id)
    if whose is None:
        if batch_id in recorder.batches:
            return None
        whose = late.of(reader, reader.policy) if reader is not None else replace(context, remote=None)
    return Results(recorder, batch_id, provider, reader, whose)


def remember(recorder: Recorder, batch_id: str, whose: Context | None) -> None:
    """Note whose a batch is, or, by None, that its results are on record; only the youngest are known."""
    recorder.batches[batch_id] = whose
    while len(recorder.batches) > MOST:
        recorder.batches.pop(next(iter(recorder.batches)), None)


def key_of(batch_id: str, custom_id: str = "") -> int:
    """The key, and so the ids, of a batch's results: the same wherever they are read."""
    digest = hashlib.sha256(f"anthropic batch\n{batch_id}\n{custom_id}".encode()).digest()
    return int.from_bytes(digest[:16], "big")


def _outcome(result: Mapping[str, Any]) -> Outcome:
    kind = str(result.get("type"))
    if kind in _ENDS:
        return _ENDS[kind]
    error = fields(fields(result.get("error")).get("error"))
    words = f"{error.get('type')}: {error.get('message')}" if error else kind
    return Outcome(outcomes.ERROR, words)
