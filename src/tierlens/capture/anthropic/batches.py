"""Message batches: a span where one is made, and, where its results are read, a trace with a span a result.

The results' trace and spans have ids made from the batch's own, in whichever process they are read and however
often: MLflow then holds each result once. The span that made the batch links to that trace ahead of time.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from tierlens import keys
from tierlens.capture import outcomes, payload
from tierlens.capture.anthropic.call import NAME, Call, put_message
from tierlens.capture.outcomes import FINE, Outcome
from tierlens.capture.recorder import Recorder, span_id_of, trace_id_of
from tierlens.capture.shapes import fields
from tierlens.capture.shield import shielded
from tierlens.capture.trace import Context, Open
from tierlens.spans import Link

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


class Results:
    """Observes the results of a batch while they are read.

    Args:
        reader: the span they are read in, whose brand and policy hold for them too.
        context: for whom they are read, where that is outside any span.
    """

    def __init__(self, recorder: Recorder, batch_id: str, provider: str, reader: Open | None, context: Context) -> None:
        self.shield = recorder.shield
        self._recorder, self._batch_id, self._provider = recorder, batch_id, provider
        self._counts: Counter[str] = Counter()
        self._done = False
        self._root = recorder.start(
            key_of(batch_id),
            "anthropic.messages.batches.results",
            "TASK",
            parent=None,
            context=context,
            policy=reader.policy if reader else None,
        )
        self._root.attributes |= {keys.BATCH_ID: batch_id, keys.INPUTS: payload.dumps({"batch_id": batch_id})}
        if reader is not None:
            self._root.links += (Link(reader.trace.trace_id, reader.span_id),)

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
        opened.attributes |= {
            keys.BATCH_ID: self._batch_id,
            keys.CUSTOM_ID: custom_id,
            keys.PROVIDER: self._provider,
        }
        if message := fields(result.get("message")):
            put_message(opened, message)

    def exhausted(self) -> None:
        self._end(FINE)

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
