"""Sinks to look into, and sinks that answer what a test tells them to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tierlens import keys
from tierlens.errors import DeliveryError
from tierlens.projection.prices import PUBLISHED, PriceBook
from tierlens.projection.tags import spans_stored, trace_tags
from tierlens.sinks.base import Batch, Finish, Record, RunSink, Sink
from tierlens.sinks.witness import Incomplete, Request, Told
from tierlens.spans import mlflow_id


class MemorySink:
    """Keeps spans and finishes in memory as MLflow keeps rows: what is sent again replaces what was there.

    Args:
        prices: by which runs are told what calls cost.

    Attributes:
        spans: OTLP JSON, parsed, by span id.
        experiments: each trace's experiment, by trace id; the first wins.
        finishes: every finish, by trace id, in order.
        metrics: each metric's latest value, by span id and name.
        invocations: the start, in Unix nanoseconds, of each invocation that a run was told of, by run key.
        batches: every request for spans, in order.
        closed: whether ``close`` was called.
    """

    def __init__(self, *, prices: PriceBook = PUBLISHED) -> None:
        self.prices: Final = prices
        self.spans: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, str] = {}
        self.finishes: dict[str, list[Finish]] = {}
        self.metrics: dict[tuple[str, str], object] = {}
        self.invocations: dict[str, set[int]] = {}
        self.batches: list[Batch] = []
        self.closed = False

    def send(self, batch: Batch) -> None:
        self.batches.append(batch)
        for payload in batch.spans:
            span = orjson.loads(payload)
            self.spans[span["spanId"]] = span
            self.experiments.setdefault(span["traceId"], batch.experiment)
        for finish in batch.finishes:
            self.finish(finish)

    def finish(self, finish: Finish) -> None:
        self.finishes.setdefault(finish.trace_id, []).append(finish)
        for finding in finish.findings:
            self.metrics[finding.span_id, finding.name] = finding.value

    def log_runs(self, experiment: str, records: Sequence[Record]) -> None:
        for record in records:
            self.invocations.setdefault(record.run.key, set()).add(record.start_ns)

    def close(self) -> None:
        self.closed = True

    def attributes(self, span_id: str) -> dict[str, Any]:
        """A span's attributes as a plain dict; integers are the strings that OTLP makes of them."""
        return {
            attribute["key"]: next(iter(attribute["value"].values()), None)
            for attribute in self.spans[span_id]["attributes"]
        }


class KnowingSink(MemorySink):
    """A MemorySink that can be asked what it holds, and that may lie when it takes something.

    Args:
        lies: whether a batch is taken and not kept.

    Attributes:
        tags: each trace's tags, by trace id.
        questions: how often it was asked.
        silent: raised by every question, if there is one.
    """

    def __init__(self, lies: Callable[[Batch], bool] = lambda batch: False) -> None:
        super().__init__()
        self.lies = lies
        self.tags: dict[str, dict[str, str]] = {}
        self.questions = 0
        self.silent: DeliveryError | None = None

    def send(self, batch: Batch) -> None:
        if self.lies(batch):
            return
        super().send(batch)
        for trace_id, tags in batch.tags.items():
            self.tags.setdefault(trace_id, {}).update(tags)

    def count(self, request: Request) -> int:
        self._ask()
        below = {trace_id for trace_id, tags in self.tags.items() if tags.get(keys.DELIVERY) == request.delivery}
        return sum(span["traceId"] in below for span in self.spans.values())

    def held(self, trace_ids: Sequence[str]) -> Mapping[str, Set[str]]:
        self._ask()
        return {one: {k for k, span in self.spans.items() if span["traceId"] == one} for one in trace_ids}

    def told(self, trace_id: str) -> Told | None:
        self._ask()
        spans = [span for span in self.spans.values() if span["traceId"] == trace_id]
        roots = [span for span in spans if not span.get("parentSpanId")]
        said = [trace_tags(orjson.dumps(root)) for root in roots] + [self.tags.get(trace_id, {})]
        tags = {key: text for one in said for key, text in one.items()}
        complete = tags.get(keys.COMPLETE)
        told = Told(bool(roots), spans_stored(tags)[1], complete == "true" if complete else None)
        return told if spans else None

    def incomplete(self, limit: int) -> Sequence[Incomplete]:
        self._ask()
        lacking = [one for one, tags in self.tags.items() if tags.get(keys.COMPLETE) == "false"]
        counts = ((one, *spans_stored(self.tags[one])) for one in lacking[:limit])
        return [Incomplete(mlflow_id(one), "", "", started, stored) for one, stored, started in counts]

    def tag(self, trace_id: str, tags: Mapping[str, str]) -> None:
        self.tags.setdefault(trace_id, {}).update(tags)

    def _ask(self) -> None:
        self.questions += 1
        if self.silent is not None:
            raise self.silent


@dataclass(frozen=True, slots=True)
class AnswerLost:
    """The sink takes what it is sent, and the answer never arrives: ``error`` is what the sender sees."""

    error: DeliveryError


Answer = DeliveryError | AnswerLost | None
Said = Batch | Finish | Sequence[Record]


class FlakySink:
    """Answers from a script, then from a rule, and passes on to ``inner`` what it takes, runs too where it has any.

    Args:
        inner: where spans go that are taken.
        answers: for the first requests, one each: None takes it.
        rule: decides once the script is over; by default everything is taken.

    Attributes:
        requests: every request made, taken or not.
    """

    def __init__(
        self,
        inner: Sink,
        answers: Iterable[Answer] = (),
        rule: Callable[[Said], Answer] = lambda request: None,
    ) -> None:
        self.inner, self.rule = inner, rule
        self.requests: list[Said] = []
        self._answers = iter(tuple(answers))

    @property
    def prices(self) -> PriceBook:
        return inner.prices if isinstance(inner := self.inner, RunSink) else PUBLISHED

    def send(self, batch: Batch) -> None:
        self._answer(batch, lambda: self.inner.send(batch))

    def finish(self, finish: Finish) -> None:
        self._answer(finish, lambda: self.inner.finish(finish))

    def log_runs(self, experiment: str, records: Sequence[Record]) -> None:
        if isinstance(inner := self.inner, RunSink):
            self._answer(records, lambda: inner.log_runs(experiment, records))

    def close(self) -> None:
        self.inner.close()

    def _answer(self, request: Said, take: Callable[[], None]) -> None:
        self.requests.append(request)
        answer = next(self._answers, self.rule(request))
        if answer is None or isinstance(answer, AnswerLost):
            take()
        if isinstance(answer, AnswerLost):
            raise answer.error
        if answer is not None:
            raise answer
