"""The endpoint's own book of what it billed, to compare anybody else's numbers with.

File format (UTF-8 JSON): ``{"totals": {…}, "calls": [{…}, …]}``, calls in the order they ended.

- ``totals``: ``calls`` (billed), ``refused`` (answered with an error), the sums of the billed calls' token
  fields, and ``all_input_tokens`` = input + cache read + cache creation. What MLflow and LangChain call input
  tokens is that sum; Anthropic's ``input_tokens`` leaves the cached ones out.
- ``by_model``: the same sums for each model.
- ``calls``: the fields of :class:`Call`.

A stream that the client leaves, or that a fault cuts, is billed for its input and for the output sent until
then (``complete`` is false); output that fits into the sockets' buffers counts as sent. Token counting and
listing are free and not in the book.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

_log = logging.getLogger(__name__)
TOKEN_FIELDS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation_5m_input_tokens",
    "cache_creation_1h_input_tokens",
)
SAVE_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Call:
    """One request that could have been billed. ``time_s`` is its end, in seconds since the epoch."""

    request_id: str
    path: str
    model: str
    stream: bool
    status: int
    time_s: float
    message_id: str | None = None
    stop_reason: str | None = None
    complete: bool = True
    error: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_5m_input_tokens: int = 0
    cache_creation_1h_input_tokens: int = 0

    @property
    def cache_creation_input_tokens(self) -> int:
        """Tokens written to the cache, whatever their lifetime."""
        return self.cache_creation_5m_input_tokens + self.cache_creation_1h_input_tokens

    @property
    def billed(self) -> bool:
        """Whether the call counts in the totals."""
        return self.status == 200

    def to_json(self) -> dict[str, Any]:
        """The call as the file holds it."""
        return asdict(self) | {"cache_creation_input_tokens": self.cache_creation_input_tokens}


class Ledger:
    """Collects calls from any thread; saves to ``path`` at most every half second, and when told to.

    Args:
        path: the file to write, its folder made if need be; None keeps the book in memory only.
        monotonic: seconds, for the pace of saving.
    """

    def __init__(self, path: Path | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path, self._monotonic = path, monotonic
        self._calls: list[Call] = []
        self._lock, self._saving = threading.Lock(), threading.Lock()
        self._saved_at = float("-inf")

    def record(self, call: Call) -> None:
        """Adds a call. The file may lag behind until ``save``; failing to write it fails no request."""
        with self._lock:
            self._calls.append(call)
            due = self._path is not None and self._monotonic() - self._saved_at >= SAVE_EVERY_S
            if due:
                self._saved_at = self._monotonic()
        if due:
            try:
                self.save()
            except OSError:
                _log.exception("the ledger could not be written to %s", self._path)

    def to_json(self) -> dict[str, Any]:
        """``{"totals": …, "by_model": …, "calls": […]}``, a copy."""
        with self._lock:
            calls = list(self._calls)
        names = sorted({call.model for call in calls if call.billed})
        by_model = {name: totals([call for call in calls if call.model == name]) for name in names}
        return {"totals": totals(calls), "by_model": by_model, "calls": [call.to_json() for call in calls]}

    def save(self) -> None:
        """Writes the file whole, by rename, so that a reader never sees half of one.

        Raises:
            OSError: the file cannot be written.
        """
        if self._path is None:
            return
        with self._saving:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._path.with_name(self._path.name + ".new")
            draft.write_bytes(orjson.dumps(self.to_json(), option=orjson.OPT_INDENT_2))
            draft.replace(self._path)


def totals(calls: Sequence[Call]) -> dict[str, int]:
    """The sums over the billed ones of ``calls``, and how many were refused."""
    billed = [call for call in calls if call.billed]
    sums = {name: sum(getattr(call, name) for call in billed) for name in TOKEN_FIELDS}
    cached = sums["cache_read_input_tokens"] + sums["cache_creation_input_tokens"]
    every = {"all_input_tokens": sums["input_tokens"] + cached}
    return {"calls": len(billed), "refused": len(calls) - len(billed)} | sums | every
