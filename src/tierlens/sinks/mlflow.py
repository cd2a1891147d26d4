"""MLflow as a sink, whatever way it is reached: which calls, in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial
from typing import Any, Final, Protocol

from tierlens import keys
from tierlens.attachments import attachment_id
from tierlens.errors import Forbidden, Rejected, Unavailable
from tierlens.projection import trace
from tierlens.projection.experiments import Experiments, ExperimentStore, UnknownExperiment
from tierlens.projection.prices import PUBLISHED, PriceBook
from tierlens.projection.runs import Record
from tierlens.projection.tags import spans_stored, tagged, without_service_name
from tierlens.projection.trace import Share
from tierlens.sinks.answers import Answer, verdict
from tierlens.sinks.base import Batch, Finish
from tierlens.sinks.encoding import Spans, parsed
from tierlens.sinks.nul import refuses_nul, without_nul
from tierlens.sinks.parallel import in_parallel
from tierlens.sinks.runs import RunBackend, RunBook
from tierlens.sinks.witness import Incomplete, Request, Told
from tierlens.spans import mlflow_id, trace_id_from

Json = Mapping[str, Any]

_HOUR_MS: Final = 3_600_000
_NOT_ENDED: Final = frozenset({None, "IN_PROGRESS", "STATE_UNSPECIFIED"})
_NOT_ACTIVE: Final = "must be in the 'active' state"


class Backend(ExperimentStore, RunBackend, Protocol):
    """The calls to MLflow; each can be repeated without harm, each raises DeliveryErrors."""

    def log_spans(self, experiment_id: str, request: bytes) -> None:
        """Store all spans of an OTLP protobuf request, or none."""
        ...

    def start_trace(self, info: Json) -> None: ...

    def create_assessment(self, assessment: Json) -> None: ...

    def trace_infos(self, trace_ids: Sequence[str]) -> Sequence[Json]:
        """Those there are, by MLflow's ids."""
        ...

    def count_spans(self, experiment_id: str, tag: str, value: str, window_ms: tuple[int, int]) -> int:
        """Spans of the traces that have this tag, and began in the window."""
        ...

    def span_ids(self, trace_id: str) -> Set[str]:
        """Those there are, in hex, of a trace by MLflow's id."""
        ...

    def set_tag(self, trace_id: str, key: str, value: str) -> None: ...

    def traces_tagged(self, tag: str, value: str, limit: int) -> Sequence[Json]:
        """The newest traces, in all experiments that are not deleted, that have this tag."""
        ...

    def attach(self, location: str, name: str, path: str) -> None:
        """Store a file as ``attachments/<name>`` below a trace's artifact location."""
        ...

    def close(self) -> None: ...


class MlflowSink:
    """Spans, then metrics and files; or, for new traces with many metrics, metrics and then spans.

    A crash between two calls leaves a trace without metrics, or a row without spans. Nothing is acknowledged
    then, and the same calls, made again, end in the same rows.

    Args:
        backend: how MLflow is reached.
        artifact_location: where new experiments keep artifacts; "" leaves it to MLflow.
        width: calls under way at once.
        prices: of the calls in what it is sent.
    """

    def __init__(
        self, backend: Backend, *, artifact_location: str = "", width: int = 1, prices: PriceBook = PUBLISHED
    ) -> None:
        self._backend, self._width = backend, width
        self.prices: Final = prices
        self._experiments = Experiments(backend, artifact_location)
        self._runs = RunBook(backend, width=width)

    def send(self, batch: Batch) -> None:
        """Store spans, metrics and files of a batch.

        Raises:
            DeliveryError: nothing of the batch may be acknowledged.
        """
        try:
            self._send(batch)
        except Rejected as e:
            # Kept word for word wherever the database can.
            if not refuses_nul(e) or (plain := without_nul(batch)) == batch:
                raise
            self._send(plain)

    def _send(self, batch: Batch) -> None:
        spans = parsed(batch, self.prices)
        spans = Spans(without_service_name(spans.resource), tagged(spans.spans, batch.tags))
        self._in_experiment(batch.experiment, partial(self._store, spans, batch.finishes))

    def finish(self, finish: Finish) -> None:
        """Store metrics and files of a trace that MLflow already has."""
        if finish.findings or finish.attached:
            self._in_experiment(finish.experiment, partial(self._complete, [finish]))

    def log_runs(self, experiment: str, records: Sequence[Record]) -> None:
        """As ``RunSink`` has it."""
        self._in_experiment(experiment, lambda experiment_id: self._runs.log(experiment_id, records))

    def close(self) -> None:
        self._backend.close()

    def count(self, request: Request) -> int:
        """As ``Witness`` has it."""
        # The sender's clock may be set while a trace runs, and a window need only keep the query from all of the past.
        window = (request.start_ns // 1_000_000 - _HOUR_MS, request.end_ns // 1_000_000 + _HOUR_MS)
        experiment_id = self._experiments.id_of(request.experiment)
        return self._backend.count_spans(experiment_id, keys.DELIVERY, request.delivery, window)

    def held(self, trace_ids: Sequence[str]) -> Mapping[str, Set[str]]:
        """As ``Witness`` has it."""
        return {trace_id: self._backend.span_ids(mlflow_id(trace_id)) for trace_id in trace_ids}

    def told(self, trace_id: str) -> Told | None:
        """As ``Witness`` has it."""
        return next(map(_told, self._backend.trace_infos([mlflow_id(trace_id)])), None)

    def incomplete(self, limit: int) -> Sequence[Incomplete]:
        """As ``Witness`` has it."""
        return [_incomplete(info) for info in self._backend.traces_tagged(keys.COMPLETE, "false", limit)]

    def tag(self, trace_id: str, tags: Mapping[str, str]) -> None:
        """As ``Witness`` has it."""
        try:
            for key, value in tags.items():
                self._backend.set_tag(mlflow_id(trace_id), key, value)
        except Forbidden as e:
            # It was deleted meanwhile, which says nothing of what else can be asked.
            raise Rejected(e.detail, e.status) if e.status == 404 else e from e

    def _in_experiment(self, name: str, act: Callable[[str], None]) -> None:
        try:
            act(self._experiments.id_of(name))
        except UnknownExperiment:
            self._experiments.forget()
            act(self._experiments.id_of(name))
        except Unavailable:
            # What answers again may have another database.
            self._experiments.forget()
            raise

    def _store(self, spans: Spans, finishes: Sequence[Finish], experiment_id: str) -> None:
        request, shares = spans.request(), trace.shares(spans.spans)
        early = [f for f in finishes if _as_one_row(f) and shares.get(f.trace_id, Share()).rooted]
        self._all(
            partial(self._backend.start_trace, trace.trace_info(f, experiment_id, shares[f.trace_id])) for f in early
        )
        self._backend.log_spans(experiment_id, request)
        self._recount(spans, shares, experiment_id)
        self._complete([f for f in finishes if f not in early], experiment_id)
        self._attach(early)

    def _recount(self, spans: Spans, shares: Mapping[str, Share], experiment_id: str) -> None:
        """Have tokens and costs counted that came after their trace's totals were frozen."""
        late = {i: s for i, s in shares.items() if not s.rooted and (s.tokens or s.cost)}
        infos = self._backend.trace_infos([mlflow_id(i) for i in late]) if late else ()
        frozen = {trace_id_from(info["trace_id"]): info for info in infos if trace.is_finalized(info)}
        for trace_id, info in frozen.items():
            self._backend.start_trace(trace.reopened(info, late[trace_id]))
        if frozen:
            self._backend.log_spans(experiment_id, spans.of(frozen.keys()).request())

    def _complete(self, finishes: Sequence[Finish], experiment_id: str) -> None:
        calls: list[Callable[[], None]] = []
        for finish in finishes:
            if _as_one_row(finish):
                info = trace.trace_info(finish, experiment_id, Share())
                calls.append(partial(self._backend.start_trace, info))
                continue
            assessments = (trace.assessment(finish.trace_id, finding) for finding in finish.findings)
            calls += [partial(self._backend.create_assessment, assessment) for assessment in assessments]
        self._all(calls)
        self._attach(finishes)

    def _attach(self, finishes: Sequence[Finish]) -> None:
        wanted = {mlflow_id(f.trace_id): f for f in finishes if f.attached}
        infos = self._backend.trace_infos(list(wanted)) if wanted else ()
        locations = {info["trace_id"]: info.get("tags", {}).get("mlflow.artifactLocation") for info in infos}
        for trace_id, finish in wanted.items():
            if not (location := locations.get(trace_id)):
                raise Rejected(f"trace {trace_id} is not in MLflow, or has no artifact location")
            for attached in finish.attached:
                name = attachment_id(finish.trace_id, attached.span_id, attached.artifact)
                self._backend.attach(location, name, attached.path)

    def _all(self, calls: Iterable[Callable[[], None]]) -> None:
        in_parallel(list(calls), self._width)


def _told(info: Json) -> Told:
    tags: Mapping[str, str] = info.get("tags", {})
    complete = {"true": True, "false": False}.get(tags.get(keys.COMPLETE, ""))
    return Told(info.get("state") not in _NOT_ENDED, spans_stored(tags)[1], complete)


def _incomplete(info: Json) -> Incomplete:
    tags: Mapping[str, str] = info.get("tags", {})
    stored, started = spans_stored(tags)
    return Incomplete(info["trace_id"], tags.get("mlflow.traceName", ""), str(info["request_time"]), started, stored)


def accepted(answer: Answer) -> Answer:
    """MLflow's answer, if it is one to be content with.

    Raises:
        UnknownExperiment: the experiment id in the request is not, or no longer, good.
        DeliveryError: any other refusal.
    """
    error = verdict(answer)
    if error is None:
        return answer
    missing = answer.error_code == "RESOURCE_DOES_NOT_EXIST" and "xperiment" in error.detail
    if missing or _NOT_ACTIVE in error.detail:
        raise UnknownExperiment(error.detail, answer.status)
    raise error


def _as_one_row(finish: Finish) -> bool:
    """Whether start_trace is the call to make.

    A single metric is cheaper as an assessment of its own. And where another process has the real root,
    start_trace would put this share's times and state in place of the whole trace's.
    """
    return len(finish.findings) > 1 and not finish.root.get("parentSpanId")
