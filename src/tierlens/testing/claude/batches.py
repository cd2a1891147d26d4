"""Message Batches: taken at once, and worked off when looked at after their time, without a thread."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from tierlens.testing.claude.messages import Messages
from tierlens.testing.claude.refusal import Refusal, error_body, invalid
from tierlens.testing.claude.request import Json

PATH: Final = "/v1/messages/batches"
LIFETIME_S: Final = 24 * 3600.0
MAX_REQUESTS: Final = 100_000
_OUTCOMES: Final = ("succeeded", "errored", "canceled", "expired")


@dataclass(slots=True)
class _Batch:
    id: str
    requests: list[Json]
    created_s: float
    canceled_s: float | None = None
    ended_s: float | None = None
    results: list[dict[str, Any]] = field(default_factory=list)


class Batches:
    """All batches of one endpoint. Thread-safe.

    Args:
        messages: answers the single requests.
        duration_s: how long after its creation a batch ends; until then it is ``in_progress``. With 0 it has
            ended when it is first looked at.
    """

    def __init__(self, messages: Messages, duration_s: float) -> None:
        self._messages, self._duration_s = messages, duration_s
        self._batches: dict[str, _Batch] = {}
        self._lock = threading.Lock()

    def create(self, body: Any, base_url: str) -> dict[str, Any]:
        """Takes a batch; it is in progress until it is looked at."""
        batch = _Batch(self._messages.new_id("msgbatch_01"), _requests(body), self._messages.clock())
        with self._lock:
            self._batches[batch.id] = batch
            return _to_wire(batch, base_url)

    def retrieve(self, batch_id: str, base_url: str) -> dict[str, Any]:
        """The batch as it stands now."""
        with self._lock:
            return _to_wire(self._current(batch_id), base_url)

    def listed(self, base_url: str) -> list[dict[str, Any]]:
        """All batches, newest first."""
        with self._lock:
            return [_to_wire(self._current(batch_id), base_url) for batch_id in reversed(self._batches)]

    def cancel(self, batch_id: str, base_url: str) -> dict[str, Any]:
        """Starts cancelling; the requests are ``canceled`` when the batch is next looked at."""
        with self._lock:
            batch = self._current(batch_id)
            if batch.ended_s is not None:
                raise invalid(f"Batch {batch_id} cannot be canceled because it has already ended.")
            batch.canceled_s = batch.canceled_s or self._messages.clock()
            return _to_wire(batch, base_url)

    def delete(self, batch_id: str) -> dict[str, Any]:
        """Forgets a batch that has ended."""
        with self._lock:
            if self._current(batch_id).ended_s is None:
                raise invalid(f"Batch {batch_id} cannot be deleted because it is still processing.")
            del self._batches[batch_id]
            return {"id": batch_id, "type": "message_batch_deleted"}

    def results(self, batch_id: str) -> bytes:
        """The results as JSON lines, in the order of the requests."""
        with self._lock:
            batch = self._current(batch_id)
            if batch.ended_s is None:
                raise Refusal(404, f"Batch {batch_id} has no results yet: it is still processing.")
            return b"".join(orjson.dumps(line) + b"\n" for line in batch.results)

    def _current(self, batch_id: str) -> _Batch:
        """The batch, ended if its time has come."""
        batch = self._batches.get(batch_id)
        if batch is None:
            raise Refusal(404, f"Batch {batch_id} not found.")
        now = self._messages.clock()
        expires_s = batch.created_s + LIFETIME_S
        if batch.ended_s is not None or (batch.canceled_s is None and now < batch.created_s + self._duration_s):
            if batch.ended_s is None and now >= expires_s:
                self._end(batch, now, "expired")
            return batch
        self._end(batch, now, "canceled" if batch.canceled_s is not None else None)
        return batch

    def _end(self, batch: _Batch, now: float, outcome: str | None) -> None:
        """Ends a batch: every request with the same ``outcome``, or each worked off where that is None."""
        for request in batch.requests:
            result = {"type": outcome} if outcome else self._worked_off(request["params"])
            batch.results.append({"custom_id": request["custom_id"], "result": result})
        batch.ended_s = now

    def _worked_off(self, params: Any) -> dict[str, Any]:
        request_id = self._messages.new_id("req_01")
        try:
            completion = self._messages.create(params, service_tier="batch")
        except Refusal as refusal:
            self._messages.record_refusal(params, request_id, PATH, refusal.status, refusal.message)
            return {"type": "errored", "error": error_body(refusal, request_id)}
        self._messages.record(completion, request_id, PATH)
        return {"type": "succeeded", "message": completion.to_wire()}


def _requests(body: Any) -> list[Json]:
    requests = body.get("requests") if isinstance(body, dict) else None
    if not isinstance(requests, list) or not requests or len(requests) > MAX_REQUESTS:
        raise invalid(f"requests: a list of 1 to {MAX_REQUESTS} requests is required")
    seen = set()
    for at, request in enumerate(requests):
        if not isinstance(request, dict) or not isinstance(request.get("custom_id"), str):
            raise invalid(f"requests.{at}.custom_id: Field required")
        if not isinstance(request.get("params"), dict):
            raise invalid(f"requests.{at}.params: Field required")
        if request["custom_id"] in seen:
            raise invalid(f"requests.{at}.custom_id: custom_id must be unique within the batch")
        seen.add(request["custom_id"])
    return requests


def _to_wire(batch: _Batch, base_url: str) -> dict[str, Any]:
    status = "canceling" if batch.canceled_s is not None else "in_progress"
    ended = batch.ended_s is not None
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else status,
        "request_counts": _counts(batch),
        "created_at": _rfc3339(batch.created_s),
        "expires_at": _rfc3339(batch.created_s + LIFETIME_S),
        "ended_at": _rfc3339(batch.ended_s),
        "cancel_initiated_at": _rfc3339(batch.canceled_s),
        "archived_at": None,
        "results_url": f"{base_url}{PATH}/{batch.id}/results" if ended else None,
    }


def _counts(batch: _Batch) -> Mapping[str, int]:
    """Requests by outcome; as with Anthropic, all are ``processing`` until the whole batch has ended."""
    outcomes = [line["result"]["type"] for line in batch.results]
    counts = {outcome: outcomes.count(outcome) for outcome in _OUTCOMES}
    return {"processing": len(batch.requests) - len(outcomes)} | counts


def _rfc3339(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
