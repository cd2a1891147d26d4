"""Spans appended to a journal, each announced before and said to be accepted after."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import orjson

from tests.faults.content import digest_of
from tests.faults.receipts import Receipts
from tests.faults.workers.orders import Orders
from tierlens import keys
from tierlens.errors import JournalRefused
from tierlens.journal import Journal
from tierlens.spans import NONE, Metric, Routing, Span

RESOURCE: Final = {"service.name": "faults"}
_WORDS: Final = "The quick brown fox jumps over the lazy dog. "
_MS: Final = 1_000_000


class Timings(Protocol):
    """Takes what each append took, in µs: a list, or what keeps less."""

    def append(self, took_us: float, /) -> None: ...


class Emitter:
    """One thread's spans, in traces of ``spans_a_trace`` whose root ends last.

    Args:
        size: bytes of each span's inputs.
        tokens: of the usage of each span but the root, 0 for none.
        metrics: set on each root.

    Attributes:
        refused: how many appends were refused, by reason.
        took_us: what each append took, accepted or not.
    """

    def __init__(
        self,
        journal: Journal,
        receipts: Receipts,
        experiment: str,
        *,
        size: int = 400,
        spans_a_trace: int = 10,
        tokens: int = 0,
        metrics: dict[str, Metric] | None = None,
        time_ns: Callable[[], int] = time.time_ns,
        took_us: Timings | None = None,
    ) -> None:
        self._journal, self._receipts, self._experiment = journal, receipts, experiment
        self._size, self._spans_a_trace, self._tokens = size, spans_a_trace, tokens
        self._metrics, self._time_ns = metrics or NONE, time_ns
        self._left_open: list[tuple[Span, Routing]] = []
        self._text = _WORDS * (size // len(_WORDS) + 1)
        self._spans = self._made()
        self.refused: dict[str, int] = {}
        self.took_us = took_us if took_us is not None else list[float]()

    @classmethod
    def under(cls, orders: Orders, journal: Journal, **arguments: object) -> Emitter:
        return cls(journal, orders.receipts(), orders.experiment, **arguments)  # type: ignore[arg-type]

    def emit(self, count: int = 1) -> None:
        """Append so many spans; what is refused is counted."""
        for span, routing in itertools.islice(self._spans, count):
            self.append(span, routing)

    def emit_trace(self) -> Span:
        """Append the spans of one trace; its root."""
        made = list(itertools.islice(self._spans, self._spans_a_trace))
        for span, routing in made:
            self.append(span, routing)
        return made[-1][0]

    def emit_invocation(self, starts_us: Timings) -> None:
        """Append what the recorder does of an invocation: first that its root has begun, last the root.

        Args:
            starts_us: takes what the first took.
        """
        made = list(itertools.islice(self._spans, self._spans_a_trace))
        root, routing = made[-1]
        begun = root._replace(end_ns=0, status="UNSET")
        began = time.perf_counter_ns()
        self._journal.append_start(begun, routing)
        starts_us.append((time.perf_counter_ns() - began) / 1e3)
        for each in made:
            self.append(*each)

    def next(self) -> tuple[Span, Routing]:
        """The next span, which is the caller's to append."""
        return next(self._spans)

    def open_span(self) -> None:
        """Record a span as open; ``close`` ends it."""
        span, routing = self.next()
        self._journal.append_start(span._replace(end_ns=0, status="UNSET"), routing)
        self._left_open.append((span, routing))

    def close(self) -> None:
        """End the spans that are open, and the journal."""
        self.end_open_spans()
        self._journal.close()

    def end_open_spans(self) -> None:
        for span, routing in self._left_open:
            self.append(span, routing)
        self._left_open.clear()

    def append(self, span: Span, routing: Routing) -> bool:
        """Append one span; whether it was accepted."""
        digest = digest_of(span)
        self._receipts.announce(span.span_id, digest)
        began = time.perf_counter_ns()
        try:
            self._journal.append(span, routing)
        except JournalRefused as refusal:
            self.refused[refusal.reason] = self.refused.get(refusal.reason, 0) + 1
            return False
        finally:
            self.took_us.append((time.perf_counter_ns() - began) / 1e3)
        self._receipts.accepted(span.span_id, digest)
        return True

    def _made(self) -> Iterator[tuple[Span, Routing]]:
        inside, root = Routing(self._experiment), Routing(self._experiment, root=True, metrics=self._metrics)
        while True:
            trace_id = os.urandom(16).hex()
            ids = [os.urandom(8).hex() for _ in range(self._spans_a_trace)]
            for number, span_id in enumerate(ids):
                last = number == len(ids) - 1
                yield self._span(trace_id, span_id, None if last else ids[-1], number), root if last else inside

    def _span(self, trace_id: str, span_id: str, parent: str | None, number: int) -> Span:
        now = self._time_ns()
        attributes: dict[str, str | bool | int | float] = {
            keys.INPUTS: orjson.dumps({"number": number, "text": span_id + self._text[: self._size]}).decode(),
            keys.OUTPUTS: orjson.dumps({"of": span_id}).decode(),
            keys.SPAN_TYPE: "TASK",
        }
        if self._tokens and parent:
            usage = {"input_tokens": self._tokens, "output_tokens": 0, "total_tokens": self._tokens}
            attributes[keys.TOKEN_USAGE] = orjson.dumps(usage).decode()
        return Span(trace_id, span_id, parent, f"step {number}", now - _MS, now, attributes, "OK")
