"""A span as OTLP JSON: ids in hex, times as strings of nanoseconds, attributes as key-value objects.

``span_json`` is on the agent's thread: one tree dumped at once costs less than gluing dumped pieces, or filling them
into a form. It takes plain values only; ``plain`` makes any span into one that it takes.
"""

from __future__ import annotations

import hashlib
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Final

import orjson

from tierlens.spans import AttributeValue, Event, Link, Span

_CODES: Final[dict[str, dict[str, object]]] = {"UNSET": {}, "OK": {"code": 1}, "ERROR": {"code": 2}}
_INT64: Final = range(-(2**63), 2**63)
_HEAD: Final = 1_000

dumps: Final[Callable[[object], bytes]] = orjson.dumps


def span_json(span: Span) -> bytes:
    """OTLP JSON of one span whose values are plain.

    Raises:
        TypeError: some value is not plain (orjson's JSONEncodeError is a TypeError).
    """
    trace_id, span_id, parent_id, name, start_ns, end_ns, attributes, status, message, events, links = span
    tree: dict[str, object] = {
        "traceId": trace_id,
        "spanId": span_id,
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(start_ns),
        "endTimeUnixNano": str(end_ns),
        "attributes": attribute_list(attributes),
        "status": _CODES[status] if not message else {**_CODES[status], "message": message},
    }
    if parent_id:
        tree["parentSpanId"] = parent_id
    if events:
        tree["events"] = [
            {"timeUnixNano": str(e.time_ns), "name": e.name, "attributes": attribute_list(e.attributes)} for e in events
        ]
    if links:
        tree["links"] = [
            {"traceId": k.trace_id, "spanId": k.span_id, "attributes": attribute_list(k.attributes)} for k in links
        ]
    return dumps(tree)


def attribute_list(attributes: Mapping[str, AttributeValue]) -> list[dict[str, object]]:
    """Attributes as OTLP writes them down: ``[{"key": …, "value": {"stringValue": …}}, …]``.

    Raises:
        TypeError: some value is not plain.
    """
    return [
        {"key": key, "value": {"stringValue": value} if type(value) is str else _value(value)}
        for key, value in attributes.items()
    ]


def _value(value: object) -> dict[str, object]:
    kind = type(value)
    if kind is bool:
        return {"boolValue": value}
    if kind is int and value in _INT64:
        return {"intValue": str(value)}
    if kind is float and math.isfinite(value):  # type: ignore[arg-type]  # kind says float, mypy cannot see it
        return {"doubleValue": value}
    raise TypeError(f"{kind.__name__} is not a plain attribute value")


def plain(span: Span, longest: int | None = None) -> Span:
    """The same span with nothing in it that JSON or OTLP cannot hold.

    Lone surrogates become U+FFFD; infinities, NaN and integers over 64 bits become strings; objects become
    JSON or, where even that fails, their ``str``. Text of more than ``longest`` characters is replaced by
    ``cut_text`` of it.
    """
    return span._replace(
        trace_id=plain_text(span.trace_id),
        span_id=plain_text(span.span_id),
        parent_id=plain_text(span.parent_id) if span.parent_id else None,
        name=plain_text(span.name),
        start_ns=int(span.start_ns),
        end_ns=int(span.end_ns),
        attributes=_plain_attributes(span.attributes, longest),
        status=span.status if span.status in _CODES else "UNSET",
        message=plain_text(span.message),
        events=tuple(
            Event(plain_text(e.name), int(e.time_ns), _plain_attributes(e.attributes, longest)) for e in span.events
        ),
        links=tuple(
            Link(plain_text(k.trace_id), plain_text(k.span_id), _plain_attributes(k.attributes, longest))
            for k in span.links
        ),
    )


def _plain_attributes(attributes: Mapping[str, AttributeValue], longest: int | None) -> dict[str, AttributeValue]:
    plained = {plain_text(key): plain_value(value) for key, value in attributes.items()}
    if longest is None:
        return plained
    return {
        key: cut_text(value) if isinstance(value, str) and len(value) > longest else value
        for key, value in plained.items()
    }


def cut_text(text: str) -> str:
    """What stands in for text that is too long: a JSON object with its size, its SHA-256 and how it
    begins."""
    whole = text.encode("utf-8", "replace")
    return dumps(
        {
            "truncated": True,
            "bytes": len(whole),
            "sha256": hashlib.sha256(whole).hexdigest(),
            "head": plain_text(text[:_HEAD]),
        }
    ).decode()


def plain_value(value: object) -> AttributeValue:
    """Any object as an attribute value; never raises."""
    if isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral) and int(value) in _INT64:
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Rational) and math.isfinite(value):
        return float(value)
    return plain_text(value)


def plain_text(value: object) -> str:
    """Any object as text that UTF-8 can hold; never raises."""
    text = value if type(value) is str else _describe(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _describe(value: object) -> str:
    try:
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return hex(value) if value.bit_length() > 4096 else int.__repr__(value)
        if isinstance(value, dict | list | tuple):
            return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        return str(value)
    except Exception:
        return _last_resort(value)


def _last_resort(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"<unprintable {type(value).__name__}>"
