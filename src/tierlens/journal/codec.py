"""The journal line: one record a line, framed so that damage is found without parsing JSON.

    {"tierlens":{"v":1,"crc":"<8 hex>","kind":"span","trace":"<32 hex>","span":"<16 hex>",
    "experiment":"app/Kisqali","brand":"Kisqali"[,"root":true][,"metrics":{…}][,"artifacts":[…]][,"invocation":{…}]},
    "resourceSpans":[{"resource":{…},"scopeSpans":[{"scope":{…},"spans":[{SPAN}]}]}]}\\n

The CRC-32 covers every byte after the quote that closes it, up to but not including the newline. Strings
escape their quotes, so neither the line's prefix nor the marks that ``decode`` cuts at can occur inside one.

Kinds: ``span``, a finished span; ``start``, an open one, whose payload is called ``start`` instead of
``resourceSpans`` so that an OpenTelemetry Collector passes over it; ``loss``, ``"refused":{reason: count}``
since the last such record.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, cast
from zlib import crc32

import orjson

from tierlens.errors import DamagedLine
from tierlens.journal.otlp import attribute_list, dumps, plain, plain_text, plain_value, span_json
from tierlens.spans import Artifact, Invocation, Metric, Routing, Span

Kind = Literal["span", "start", "loss"]

PREFIX: Final = b'{"tierlens":{"v":1,"crc":"'
_COVERED: Final = len(PREFIX) + 8 + 1
_HEADER: Final = len(b'{"tierlens":')
_SPAN_MARK: Final = b'},"resourceSpans":[{"resource":'
_START_MARK: Final = b'},"start":[{"resource":'
_OPENINGS: Final = {kind: b',"kind":"%b","trace":' % kind.encode() for kind in ("span", "start")}
_MARKS: Final = {"span": _SPAN_MARK, "start": _START_MARK}
_SCOPE: Final = b',"scopeSpans":[{"scope":{"name":"tierlens","version":"1"},"spans":['
_TAIL: Final = b"]}]}]}"


class Line(NamedTuple):
    """One undamaged journal line, its header read and its payload still bytes.

    A tuple, as Span is: the shipper makes one of every line.

    Attributes:
        trace: 32 hex digits, "" in a loss record.
        span: 16 hex digits, "" in a loss record.
        resource: OTLP JSON of the resource; b"" in a loss record.
        payload: OTLP JSON of the span; b"" in a loss record.
        refused: in a loss record, how many spans were refused, by reason.
    """

    kind: Kind
    trace: str = ""
    span: str = ""
    experiment: str = ""
    brand: str = ""
    root: bool = False
    metrics: Mapping[str, Metric] | None = None
    artifacts: tuple[Artifact, ...] = ()
    resource: bytes = b""
    payload: bytes = b""
    refused: Mapping[str, int] | None = None
    invocation: Invocation | None = None


def encode(span: Span, routing: Routing, resource: bytes, kind: Literal["span", "start"] = "span") -> bytes:
    """A finished span as one journal line, newline included; or, as ``start``, an open one (``end_ns`` is 0): what
    is known of it should its process die. Values that JSON cannot hold are made plain first."""
    try:
        return _framed(kind, span.trace_id, span.span_id, routing, resource, span_json(span))
    except Exception:
        whole = plain(span)
        return _framed(kind, whole.trace_id, whole.span_id, _plain_routing(routing), resource, span_json(whole))


def encode_line(line: Line) -> bytes:
    """A finished span's line anew, from what ``decode`` made of one."""
    routing = Routing(line.experiment, line.brand, line.root, line.metrics or {}, line.artifacts, line.invocation)
    return _framed("span", line.trace, line.span, routing, line.resource, line.payload)


def encode_loss(refused: Mapping[str, int]) -> bytes:
    """How many spans were refused, by reason, since the last such record."""
    return _frame(b',"kind":"loss","refused":%b}}' % dumps(dict(refused)))


def encode_resource(attributes: Mapping[str, str]) -> bytes:
    """The OTLP resource that all spans of a journal share."""
    plained = {plain_text(key): plain_value(value) for key, value in attributes.items()}
    return dumps({"attributes": attribute_list(plained)})


def cut(span: Span, longest: int) -> Span:
    """The span with every attribute of more than ``longest`` characters replaced by its size, digest and
    beginning."""
    return plain(span, longest)


def _framed(kind: str, trace: str, span: str, routing: Routing, resource: bytes, payload: bytes) -> bytes:
    experiment, brand, root, metrics, artifacts, invocation = routing
    return _frame(
        b"".join(
            (
                _OPENINGS[kind],
                dumps(trace),
                b',"span":',
                dumps(span),
                _destination(experiment, brand, root),
                _attached(metrics, artifacts) if metrics or artifacts else b"",
                b',"invocation":%b' % dumps(invocation) if invocation is not None else b"",
                _MARKS[kind],
                resource,
                _SCOPE,
                payload,
                _TAIL,
            )
        )
    )


def _frame(covered: bytes) -> bytes:
    return b'%b%08x"%b\n' % (PREFIX, crc32(covered), covered)


def _attached(metrics: Mapping[str, Metric], artifacts: tuple[Artifact, ...]) -> bytes:
    return (b',"metrics":%b' % dumps(_plain_metrics(metrics)) if metrics else b"") + (
        b',"artifacts":%b' % dumps(artifacts) if artifacts else b""
    )


@lru_cache(maxsize=1024)
def _destination(experiment: str, brand: str, root: bool) -> bytes:
    tail = b',"root":true' if root else b""
    return b',"experiment":%b,"brand":%b%b' % (dumps(experiment), dumps(brand), tail)


def _plain_metrics(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    return {plain_text(name): plain_value(value) for name, value in metrics.items()}


def _plain_routing(routing: Routing) -> Routing:
    return Routing(
        plain_text(routing.experiment),
        plain_text(routing.brand),
        bool(routing.root),
        _plain_metrics(routing.metrics),
        tuple(
            Artifact(plain_text(a.name), plain_text(a.sha256), int(a.size), plain_text(a.content_type))
            for a in routing.artifacts
        ),
        routing.invocation and _plain_invocation(routing.invocation),
    )


def _plain_invocation(told: Invocation) -> Invocation:
    texts = (plain_text(told.version), told.runs, plain_text(told.experiment))
    return Invocation(*texts, *(tuple(_plain_call(call) for call in calls) for calls in (told.calls, told.inner)))


def _plain_call(call: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(plain_value(one) if isinstance(one, str) else one for one in call)


def decode(line: bytes) -> Line:
    """Read one line, without its newline.

    Raises:
        DamagedLine: the prefix, the checksum or the shape is wrong.
    """
    if not undamaged(line):
        raise DamagedLine("prefix or checksum")
    try:
        return _parse(line)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedLine(f"shape: {error}") from error


def undamaged(line: bytes) -> bool:
    """Whether a line, without its newline, has the prefix and the checksum that belongs to it."""
    expected = _expected(line)
    return expected is not None and crc32(memoryview(line)[_COVERED:]) == expected


def _expected(line: bytes) -> int | None:
    if not line.startswith(PREFIX) or line[_COVERED - 1 : _COVERED] != b'"':
        return None
    try:
        return int(line[len(PREFIX) : _COVERED - 1], 16)
    except ValueError:
        return None


def undamaged_length(piece: bytes) -> int:
    """Length of the undamaged line that a piece begins with, whatever stands where its newline was; 0 if
    none."""
    expected = _expected(piece)
    covered, at = _COVERED, piece.find(b"}", _COVERED)
    crc = 0
    while expected is not None and at >= 0:
        crc = crc32(piece[covered : at + 1], crc)
        covered = at + 1
        if crc == expected:
            return covered
        at = piece.find(b"}", covered)
    return 0


def _parse(line: bytes) -> Line:
    span_mark = line.find(_SPAN_MARK)
    start_mark = line.find(_START_MARK, 0, span_mark) if span_mark >= 0 else line.find(_START_MARK)
    if start_mark >= 0:
        return _parse_span(line, start_mark, len(_START_MARK))
    if span_mark >= 0:
        return _parse_span(line, span_mark, len(_SPAN_MARK))
    header = orjson.loads(line)["tierlens"]
    if header["kind"] != "loss":
        raise ValueError(f"no payload in a record of kind {header['kind']!r}")
    return Line("loss", refused=header["refused"])


def _parse_span(line: bytes, mark: int, width: int) -> Line:
    header = orjson.loads(line[_HEADER : mark + 1])
    scope = line.index(_SCOPE, mark)
    return Line(
        cast(Kind, header["kind"]),
        header["trace"],
        header["span"],
        header["experiment"],
        header["brand"],
        header.get("root", False),
        header.get("metrics"),
        tuple([Artifact(**artifact) for artifact in header["artifacts"]]) if "artifacts" in header else (),
        line[mark + width : scope],
        line[scope + len(_SCOPE) : -len(_TAIL)],
        invocation=_invocation(header["invocation"]) if "invocation" in header else None,
    )


def _invocation(told: dict[str, Any]) -> Invocation:
    told["calls"], told["inner"] = (tuple(map(tuple, told[key])) for key in ("calls", "inner"))
    return Invocation(**told)
