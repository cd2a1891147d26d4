"""Model calls read back: from MLflow, or from a journal that nobody has delivered yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from tierlens import keys
from tierlens.cli.tracking import asking, client_for, pages
from tierlens.projection.reading import said_by, usd
from tierlens.projection.spending import PricedCall, SpanRead, calls_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Trace

    from tierlens.projection.prices import PriceBook
    from tierlens.settings import Settings

_PAGE: Final = 100
_LATEST: Final = 500
_TEXTS: Final = frozenset({keys.INPUTS, keys.OUTPUTS})


def from_journal(directory: Path, prices: PriceBook) -> Iterator[PricedCall]:
    """Those whose spans still lie in a journal, priced as delivery by the same prices will price them."""
    from tierlens.journal.follow import Follower

    traces: dict[str, dict[str, Any]] = {}
    brands: dict[str, str] = {}
    for written in Follower(directory).read():
        line = written.line
        if line.kind == "span":
            traces.setdefault(line.trace, {})[line.span] = _without_texts(line.payload)
            brands[line.trace] = line.brand or brands.get(line.trace, "")
    for trace, spans in traces.items():
        seen = {span_id: _of_line(span) for span_id, span in spans.items()}

        def priced(span_id: str, spans: dict[str, Any] = spans, seen: dict[str, SpanRead] = seen) -> float | None:
            return prices.usd_of(spans[span_id], seen[span_id].attributes)

        yield from calls_of(trace, seen.values(), brand=brands[trace], priced=priced)


def brands_in_journal(directory: Path) -> set[str]:
    """Those of all spans that still lie in a journal."""
    from tierlens.journal.follow import Follower

    return {written.line.brand for written in Follower(directory).read() if written.line.kind == "span"}


def _without_texts(payload: bytes) -> Any:
    """A span without what went in and came out: that has no cost, and is most of what it takes in memory."""
    span = orjson.loads(payload)
    span["attributes"] = [one for one in span.get("attributes", ()) if one["key"] not in _TEXTS]
    span.pop("events", None)
    return span


def _of_line(span: Any) -> SpanRead:
    began = int(span["startTimeUnixNano"])
    return SpanRead(span["spanId"], span.get("parentSpanId", ""), span.get("name", ""), began, said_by(span))


def from_mlflow(loaded: Settings, since_ms: int, brand: str | None) -> Iterator[PricedCall]:
    """Those of all traces of a server or a database, with the cost they are stored with.

    Args:
        since_ms: only traces that began after it, Unix time in milliseconds; 0 means all.
        brand: only traces of it; None means all.

    Raises:
        TierlensError: it cannot be reached, or does not answer like MLflow.
    """
    wanted = [f"timestamp_ms >= {since_ms}"] if since_ms else []
    wanted += _of_brand(brand)
    with asking(loaded.tracking_uri):
        client = client_for(loaded)
        for some in _locations(client):
            arguments = {"locations": some, "filter_string": " AND ".join(wanted) or None, "max_results": _PAGE}
            for trace in pages(client.search_traces, **arguments):
                yield from _of_trace(trace)


def brands_in_mlflow(loaded: Settings, brand: str) -> set[str]:
    """The brands of the latest traces, and ``brand`` itself where any trace is of it.

    Raises:
        TierlensError: as ``from_mlflow`` does.
    """
    found = set()
    with asking(loaded.tracking_uri):
        client = client_for(loaded)
        for some in _locations(client):
            for wanted, most in (([], _LATEST), (_of_brand(brand), 1)):
                latest = client.search_traces(
                    locations=some, filter_string=" AND ".join(wanted) or None, max_results=most, include_spans=False
                )
                found |= {str(trace.info.tags.get("brand", "")) for trace in latest}
    return found


def _of_brand(brand: str | None) -> list[str]:
    # MLflow's filters have no way to write an apostrophe.
    return [f"tags.brand = '{brand}'"] if brand is not None and "'" not in brand else []


def _locations(client: MlflowClient) -> Iterator[list[str]]:
    """All experiments, as many at a time as one search takes."""
    experiments = [one.experiment_id for one in pages(client.search_experiments, max_results=1_000)]
    for first in range(0, len(experiments), _PAGE):
        yield experiments[first : first + _PAGE]


def _of_trace(trace: Trace) -> Iterator[PricedCall]:
    seen = {
        span.span_id: SpanRead(span.span_id, span.parent_id or "", span.name, span.start_time_ns, span.attributes)
        for span in trace.data.spans
    }
    tags = trace.info.tags
    yield from calls_of(
        trace.info.trace_id.removeprefix("tr-"),
        seen.values(),
        brand=str(tags.get("brand", "")),
        priced=lambda span_id: usd(seen[span_id].attributes.get(keys.COST)),
        tags=tags,
    )
