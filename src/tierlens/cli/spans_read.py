"""Model calls read back: from MLflow, or from a journal that nobody has delivered yet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from tierlens import keys
from tierlens.addresses import shown
from tierlens.cli.tracking import must_be_ready
from tierlens.errors import Unavailable
from tierlens.projection.attributes import attributes_of
from tierlens.projection.paid import Paid, paid_as
from tierlens.projection.spending import PricedCall, SpanRead, calls_of
from tierlens.sinks.reading import ReadingBackend, TraceRead, every_trace, reading

if TYPE_CHECKING:
    from tierlens.cli.output import Tell
    from tierlens.projection.prices import PriceBook
    from tierlens.settings import Settings

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

        def priced(span_id: str, spans: dict[str, Any] = spans, seen: dict[str, SpanRead] = seen) -> Paid | None:
            return prices.paid(spans[span_id], seen[span_id].attributes)

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
    return SpanRead(span["spanId"], span.get("parentSpanId", ""), span.get("name", ""), began, attributes_of(span))


def from_mlflow(
    loaded: Settings, since_ms: int, brand: str | None, tell: Tell = lambda doing, done, of: None
) -> Iterator[PricedCall]:
    """Those of all traces of a server or a database, with the cost they are stored with.

    Args:
        since_ms: only traces that began after it, Unix time in milliseconds; 0 means all.
        brand: only traces of it; None means all.
        tell: told what is being done, how much of it is done, and of how much; 0 where nobody knows.

    Raises:
        TierlensError: it cannot be reached, or does not answer like MLflow.
    """
    wanted = [f"timestamp_ms >= {since_ms}"] if since_ms else []
    wanted += _of_brand(brand)
    with _reading(loaded) as backend:
        for trace in every_trace(backend, " AND ".join(wanted), tell):
            yield from _of_trace(trace)


def brands_in_mlflow(loaded: Settings, brand: str) -> set[str]:
    """The brands of the latest traces, and ``brand`` itself where any trace is of it.

    Raises:
        TierlensError: as ``from_mlflow`` does.
    """
    found = set()
    with _reading(loaded) as backend:
        for wanted, most in (([], _LATEST), (_of_brand(brand), 1)):
            for info in backend.infos(" AND ".join(wanted), most):
                found.add(str(info.get("tags", {}).get("brand", "")))
    return found


@contextlib.contextmanager
def _reading(loaded: Settings) -> Iterator[ReadingBackend]:
    must_be_ready(loaded)
    with contextlib.closing(reading(loaded)) as backend:
        try:
            yield backend
        except Unavailable as error:
            if not error.status:
                raise
            raise Unavailable(f"{shown(loaded.tracking_uri)}: {error.detail}", error.status) from error


def _of_brand(brand: str | None) -> list[str]:
    # MLflow's filters have no way to write an apostrophe.
    return [f"tags.brand = '{brand}'"] if brand is not None and "'" not in brand else []


def _of_trace(trace: TraceRead) -> Iterator[PricedCall]:
    seen = {span.span_id: span for span in trace.spans}
    # A root that is a call itself speaks for itself.
    roots = (one.attributes for one in trace.spans if not one.parent_id and keys.COST not in one.attributes)
    of_root = {name: said for name, said in next(roots, {}).items() if name in (keys.PRICE, keys.PRICE_SOURCE)}

    def priced(span_id: str) -> Paid | None:
        said = seen[span_id].attributes
        return paid_as(said.get(keys.COST), said, of_root)

    yield from calls_of(
        trace.id,
        trace.spans,
        brand=str(trace.tags.get("brand", "")),
        priced=priced,
        tags=trace.tags,
    )
