"""OTLP JSON to OTLP protobuf, by hand.

MLflow's server spends a third less on protobuf than on JSON, which it takes apart three times;
google.protobuf needs 65 µs to build what this writes in 15. The field numbers are those of
opentelemetry-proto's ``trace/v1/trace.proto`` and ``common/v1/common.proto``, which never change once
published.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

Json = Mapping[str, Any]

_FIXED64: Final = struct.Struct("<Q").pack
_TIMES: Final = struct.Struct("<cQcQ").pack
_FIXED32: Final = struct.Struct("<I").pack
_DOUBLE: Final = struct.Struct("<d").pack
_UINT64: Final = (1 << 64) - 1
_SHORT: Final = 64
_SIZED: Final = 4096


def export_request(resource: Json, scope: Json, spans: Sequence[Json]) -> bytes:
    """An ``ExportTraceServiceRequest`` of one resource and one scope.

    Raises:
        ValueError, TypeError, KeyError, AttributeError, struct.error: what is given is not OTLP JSON.
    """
    of_scope = _field(b"\x0a", _scope(scope)) + b"".join([_field(b"\x12", span_message(s)) for s in spans])
    of_resource = _field(b"\x0a", _attributes(b"\x0a", resource)) + _field(b"\x12", of_scope)
    return _field(b"\x0a", of_resource)


def span_message(span: Json) -> bytes:
    """One ``Span``; fields that are missing keep protobuf's defaults, unknown ones are left out."""
    parts = [
        _ids(span["traceId"], span["spanId"], span.get("parentSpanId")),
        _text(b"\x2a", span.get("name")),
        _number(b"\x30", span.get("kind")),
        _TIMES(b"\x39", int(span["startTimeUnixNano"]), b"\x41", int(span["endTimeUnixNano"])),
        _attributes(b"\x4a", span),
    ]
    if (status := span.get("status")) is not None:
        message = status.get("message")
        parts.append(_status(status.get("code"), message) if message else _plain_status(status.get("code")))
    for name, encode in _RARE:
        if content := span.get(name):
            parts.append(encode(content))
    return b"".join(parts)


def _ids(trace: str, span: str, parent: str | None) -> bytes:
    if parent and len(trace) == 32 and len(span) == len(parent) == 16:
        return bytes.fromhex(f"0a10{trace}1208{span}2208{parent}")
    return _field(b"\x0a", bytes.fromhex(trace)) + _field(b"\x12", bytes.fromhex(span)) + _hex(b"\x22", parent)


def _event(event: Json) -> bytes:
    return (
        b"\x09"
        + _FIXED64(int(event.get("timeUnixNano", 0)))
        + _text(b"\x12", event.get("name"))
        + _attributes(b"\x1a", event)
        + _number(b"\x20", event.get("droppedAttributesCount"))
    )


def _link(link: Json) -> bytes:
    flags = link.get("flags")
    return (
        _hex(b"\x0a", link.get("traceId"))
        + _hex(b"\x12", link.get("spanId"))
        + _text(b"\x1a", link.get("traceState"))
        + _attributes(b"\x22", link)
        + _number(b"\x28", link.get("droppedAttributesCount"))
        + (b"\x35" + _FIXED32(flags) if flags else b"")
    )


def _status(code: int | None, message: str | None) -> bytes:
    return _field(b"\x7a", _text(b"\x12", message) + _number(b"\x18", code))


@lru_cache(maxsize=8)
def _plain_status(code: int | None) -> bytes:
    return _status(code, None)


def _scope(scope: Json) -> bytes:
    return _text(b"\x0a", scope.get("name")) + _text(b"\x12", scope.get("version"))


def _attributes(tag: bytes, owner: Json) -> bytes:
    return b"".join([_attribute(tag, pair["key"], pair["value"]) for pair in owner.get("attributes", ())])


def _attribute(tag: bytes, key: str, value: Json) -> bytes:
    text = value.get("stringValue")
    # Nine in ten attributes are strings, and most of the short ones are the same in many spans.
    if text is None:
        return _field(tag, _pair(key, _any(value)))
    return _short(tag, key, text) if len(text) < _SHORT else _string_attribute(tag, key, text)


@lru_cache(maxsize=4096)
def _short(tag: bytes, key: str, text: str) -> bytes:
    return _string_attribute(tag, key, text)


def _string_attribute(tag: bytes, key: str, text: str) -> bytes:
    """``_field(tag, _pair(key, _string(text)))``, its four nested lengths worked out before anything is put
    together."""
    content = text.encode()
    size = len(content)
    string = b"\x0a" + (_SIZES[size] if size < _SIZED else _varint(size))
    size += len(string)
    head = _key(key) + b"\x12" + (_SIZES[size] if size < _SIZED else _varint(size)) + string
    size += len(head) - len(string)
    return tag + (_SIZES[size] if size < _SIZED else _varint(size)) + head + content


def _pair(key: str, value: bytes) -> bytes:
    return _key(key) + _field(b"\x12", value)


@lru_cache(maxsize=4096)
def _key(key: str) -> bytes:
    return _field(b"\x0a", key.encode())


def _string(text: str) -> bytes:
    return _field(b"\x0a", text.encode())


def _any(value: Json) -> bytes:
    for kind, content in value.items():
        return _ANY[kind](content)
    return b""


def _array(content: Json) -> bytes:
    return _field(b"\x2a", b"".join([_field(b"\x0a", _any(v)) for v in content.get("values", ())]))


def _kvlist(content: Json) -> bytes:
    return _field(b"\x32", b"".join([_attribute(b"\x0a", p["key"], p["value"]) for p in content.get("values", ())]))


_ANY: Final[Mapping[str, Callable[[Any], bytes]]] = {
    "stringValue": _string,
    "boolValue": lambda flag: b"\x10\x01" if flag else b"\x10\x00",
    "intValue": lambda number: b"\x18" + _varint(int(number) & _UINT64),
    "doubleValue": lambda number: b"\x21" + _DOUBLE(float(number)),
    "arrayValue": _array,
    "kvlistValue": _kvlist,
    "bytesValue": lambda text: _field(b"\x3a", base64.b64decode(text)),
}


def _text(tag: bytes, text: str | None) -> bytes:
    return _field(tag, text.encode()) if text else b""


def _hex(tag: bytes, digits: str | None) -> bytes:
    return _field(tag, bytes.fromhex(digits)) if digits else b""


def _number(tag: bytes, number: int | None) -> bytes:
    return _numbered(tag, number) if number else b""


@lru_cache(maxsize=256)
def _numbered(tag: bytes, number: int) -> bytes:
    return tag + _varint(number)


def _field(tag: bytes, payload: bytes) -> bytes:
    size = len(payload)
    return tag + (_SIZES[size] if size < _SIZED else _varint(size)) + payload


def _varint(number: int) -> bytes:
    if number < 0:
        raise ValueError(f"{number} is negative")
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


_SIZES: Final = [_varint(number) for number in range(_SIZED)]
_RARE: Final[Sequence[tuple[str, Callable[[Any], bytes]]]] = (
    ("traceState", lambda text: _text(b"\x1a", text)),
    ("droppedAttributesCount", lambda count: _number(b"\x50", count)),
    ("events", lambda events: b"".join([_field(b"\x5a", _event(event)) for event in events])),
    ("droppedEventsCount", lambda count: _number(b"\x60", count)),
    ("links", lambda links: b"".join([_field(b"\x6a", _link(link)) for link in links])),
    ("droppedLinksCount", lambda count: _number(b"\x70", count)),
    ("flags", lambda flags: b"\x85\x01" + _FIXED32(flags)),
)
