"""Traces read back from MLflow with all their spans: over HTTP without the mlflow package, or in its database."""

from __future__ import annotations

import concurrent.futures as futures
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import urlencode

from tierlens import keys
from tierlens.errors import Rejected
from tierlens.projection.spending import SpanRead
from tierlens.sinks.channel import Channel
from tierlens.sinks.configured import credentials_for
from tierlens.sinks.mlflow import accepted
from tierlens.sinks.mlflow_http import RestBackend
from tierlens.sinks.mlflow_store import StoreBackend
from tierlens.sinks.rest import LONGEST, PAGE, Json, hex_id, many
from tierlens.sinks.store import as_answers
from tierlens.spans import trace_id_from

if TYPE_CHECKING:
    from tierlens.settings import Settings

# What a server takes for a trace hardly depends on either: 3 ms a trace of 4 spans, on one process of its own.
# Four at once keep up with as many processes.
_TOGETHER: Final = 50
_WIDTH: Final = 4
_TEXTS: Final = frozenset({keys.INPUTS, keys.OUTPUTS})


class TraceRead(NamedTuple):
    """One trace: its id (32 hex digits), its tags, and its spans without what went in and came out."""

    id: str
    tags: Mapping[str, str]
    spans: Sequence[SpanRead]


class ReadingBackend(Protocol):
    """The calls to MLflow; each raises DeliveryErrors."""

    def infos(self, condition: str, most: int = 0) -> Iterator[Json]:
        """Infos of the traces that meet a filter of MLflow's, the newest first; ``most``: of 100 experiments."""
        ...

    def traces(self, trace_ids: Sequence[str]) -> Iterator[TraceRead]:
        """Those there are, whole, by MLflow's ids."""
        ...

    def close(self) -> None: ...


def reading(settings: Settings) -> ReadingBackend:
    """The server or database of the settings.

    Raises:
        SettingsError: a credential cannot be used.
    """
    uri = settings.tracking_uri
    if uri.partition(":")[0].lower() in ("http", "https"):
        return RestReading(Channel(uri, credentials_for(settings)))
    return StoreReading(uri, made=False)


def every_trace(
    backend: ReadingBackend, condition: str, tell: Callable[[str, int, int], None] = lambda doing, done, of: None
) -> Iterator[TraceRead]:
    """All that meet a filter of MLflow's, each once: pages shift while traces are written, and tell some twice."""
    ids: dict[str, None] = {}
    for info in backend.infos(condition):
        ids[str(info["trace_id"])] = None
        tell("Looking for traces", len(ids), 0)
    for done, trace in enumerate(backend.traces(list(ids)), 1):
        tell("Reading traces", done, len(ids))
        yield trace


class RestReading(RestBackend):
    """As ``ReadingBackend`` has it, over MLflow's REST API.

    Args:
        longest: bytes that are read of an answer at most; fewer traces are asked for at once where it has more.
    """

    def __init__(self, channel: Channel, *, longest: int = LONGEST) -> None:
        super().__init__(channel)
        self._longest = longest

    def infos(self, condition: str, most: int = 0) -> Iterator[Json]:
        for some in many(list(self._experiments())):
            yield from itertools.islice(self._search_traces(some, condition, most or PAGE), most or None)

    def traces(self, trace_ids: Sequence[str]) -> Iterator[TraceRead]:
        pool = futures.ThreadPoolExecutor(_WIDTH)
        under_way: deque[futures.Future[list[TraceRead]]] = deque()
        try:
            for some in many(trace_ids, _TOGETHER):
                under_way.append(pool.submit(self._whole, some))
                if len(under_way) > _WIDTH:
                    yield from under_way.popleft().result()
            while under_way:
                yield from under_way.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _whole(self, trace_ids: Sequence[str]) -> list[TraceRead]:
        query = urlencode([("trace_ids", one) for one in trace_ids])
        answer = accepted(self._channel.request("GET", f"/api/3.0/mlflow/traces/batchGet?{query}", limit=self._longest))
        if not answer.cut:
            return [_of_rest(trace) for trace in answer.objects("traces")]
        if len(trace_ids) == 1:
            raise Rejected(f"{trace_ids[0]} has more than the {self._longest} bytes that are read of a trace")
        half = len(trace_ids) // 2
        return [*self._whole(trace_ids[:half]), *self._whole(trace_ids[half:])]


class StoreReading(StoreBackend):
    """The same in MLflow's database."""

    def infos(self, condition: str, most: int = 0) -> Iterator[Json]:
        with as_answers():
            for some in many(self._experiments()):
                yield from itertools.islice(self._search_traces(some, condition, most or PAGE), most or None)

    def traces(self, trace_ids: Sequence[str]) -> Iterator[TraceRead]:
        with as_answers():
            for some in many(trace_ids, _TOGETHER):
                yield from map(_of_store, self._store.batch_get_traces(some))


def _of_rest(trace: Json) -> TraceRead:
    info = trace["trace_info"]
    spans = [
        SpanRead(
            hex_id(span["span_id"]),
            hex_id(span.get("parent_span_id", "")),
            span.get("name", ""),
            int(span["start_time_unix_nano"]),
            {
                pair["key"]: _said(pair.get("value", {}))
                for pair in span.get("attributes", ())
                if pair["key"] not in _TEXTS
            },
        )
        for span in trace.get("spans", ())
    ]
    return TraceRead(trace_id_from(info["trace_id"]), info.get("tags", {}), spans)


def _of_store(trace: Any) -> TraceRead:
    spans = [
        SpanRead(span.span_id, span.parent_id or "", span.name, span.start_time_ns, span.attributes)
        for span in trace.data.spans
    ]
    return TraceRead(trace_id_from(trace.info.trace_id), trace.info.tags, spans)


def _said(value: Json) -> Any:
    """What one of OpenTelemetry's values says, by the names that protobuf's own fields have."""
    kind, inner = next(iter(value.items()), ("", None))
    if kind == "kvlist_value":
        return {pair["key"]: _said(pair.get("value", {})) for pair in (inner or {}).get("values", ())}
    if kind == "array_value":
        return [_said(one) for one in (inner or {}).get("values", ())]
    return int(inner or 0) if kind == "int_value" else inner
