"""A span as OTLP JSON: ids in hex, times as strings of nanoseconds, attributes as key-value objects.

``span_json`` is on the agent's thread. Spans have few shapes (names and types of attributes) and many values: what
a shape's JSON looks like is worked out once, and filled in for each span. It takes plain values only; ``plain``
makes any span into one that it takes.
"""

from __future__ import annotations

import hashlib
import math
import numbers
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import orjson

from tierlens.spans import AttributeValue, Event, Link, Span

_CODES: Final = {"UNSET": b"{}", "OK": b'{"code":1}', "ERROR": b'{"code":2}'}
_TOLD: Final = {
    "UNSET": b'{"message":%b}',
    "OK": b'{"code":1,"message":%b}',
    "ERROR": b'{"code":2,"message":%b}',
}
_FORMS: Final[Mapping[object, bytes]] = {
    str: b'{"stringValue":%b}',
    bool: b'{"boolValue":%b}',
    int: b'{"intValue":"%b"}',
    float: b'{"doubleValue":%b}',
}
_SPAN: Final = (
    b'{"traceId":%b,"spanId":%b%b,"name":%b,"kind":1,"startTimeUnixNano":"%d","endTimeUnixNano":"%d",'
    b'"attributes":[%b],"status":%b%b}'
)
_INT64: Final = range(-(2**63), 2**63)
_HEAD: Final = 1_000

dumps: Final[Callable[[object], bytes]] = orjson.dumps


def span_json(span: Span) -> bytes:
    """OTLP JSON of one span whose values are plain.

    Raises:
        TypeError: some value is not plain (orjson's JSONEncodeError is a TypeError).
    """
    trace_id, span_id, parent_id, name, start_ns, end_ns, attributes, status, message, events, links = span
    return _SPAN % (
        dumps(trace_id),
        dumps(span_id),
        b',"parentSpanId":%b' % dumps(parent_id) if parent_id else b"",
        dumps(name),
        start_ns,
        end_ns,
        attributes_json(attributes),
        _TOLD[status] % dumps(message) if message else _CODES[status],
        _events_and_links(events, links) if events or links else b"",
    )


def _events_and_links(events: tuple[Event, ...], links: tuple[Link, ...]) -> bytes:
    told = [
        b'{"timeUnixNano":"%d","name":%b,"attributes":[%b]}' % (e.time_ns, dumps(e.name), attributes_json(e.attributes))
        for e in events
    ]
    linked = [
        b'{"traceId":%b,"spanId":%b,"attributes":[%b]}'
        % (dumps(k.trace_id), dumps(k.span_id), attributes_json(k.attributes))
        for k in links
    ]
    return (b',"events":[%b]' % b",".join(told) if told else b"") + (
        b',"links":[%b]' % b",".join(linked) if linked else b""
    )


def attributes_json(attributes: Mapping[str, AttributeValue]) -> bytes:
    """The elements of an OTLP attribute list, without its brackets: ``{"key": …, "value": {"stringValue": …}}, …``

    Raises:
        TypeError: some value is not plain.
    """
    values = attributes.values()
    kinds = tuple(map(type, values))
    json = _form(*attributes, *kinds) % tuple(map(dumps, values))
    if (float in kinds or int in kinds) and not all(map(_is_plain, values)):
        raise TypeError("a number is not plain")
    return json


@lru_cache(maxsize=4096)
def _form(*names_then_kinds: object) -> bytes:
    """What attributes of these names and types look like, with a ``%b`` for each value."""
    half = len(names_then_kinds) // 2
    pairs = zip(names_then_kinds[:half], names_then_kinds[half:], strict=True)
    if not all(type(name) is str and kind in _FORMS for name, kind in pairs):
        raise TypeError("an attribute is not plain")
    pairs = zip(names_then_kinds[:half], names_then_kinds[half:], strict=True)
    return b",".join(
        [b'{"key":%b,"value":%b}' % (dumps(name).replace(b"%", b"%%"), _FORMS[kind]) for name, kind in pairs]
    )


def _is_plain(value: object) -> bool:
    """Whether OTLP has a place for a number; true of all that is none."""
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is not int or value in _INT64


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
