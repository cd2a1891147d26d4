"""What makes two spans the same: one digest for a span before the append, and for the row that MLflow has of it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

from tierlens import keys
from tierlens.spans import Span

_PAYLOADS: Final = (keys.INPUTS, keys.OUTPUTS)


def digest_of(span: Span) -> bytes:
    """SHA-256 of a span's ids, name, times, status, message, inputs and outputs."""
    return _digest(
        (span.trace_id, span.span_id, span.parent_id),
        span.name,
        (span.start_ns, span.end_ns),
        (span.status, span.message),
        span.attributes,
    )


def digest_of_stored(content: Mapping[str, Any]) -> bytes:
    """The same of ``spans.content`` as MLflow writes it."""
    status = content.get("status") or {}
    return _digest(
        (_hex(content["trace_id"]), _hex(content["span_id"]), _hex(content.get("parent_span_id"))),
        content["name"],
        (content["start_time_unix_nano"], content["end_time_unix_nano"]),
        (str(status.get("code", "")).removeprefix("STATUS_CODE_"), status.get("message", "")),
        content["attributes"],
    )


def _digest(
    ids: tuple[str | None, ...],
    name: str,
    times: tuple[int, int],
    status: tuple[str, str],
    attributes: Mapping[str, Any],
) -> bytes:
    payloads = [_value(attributes.get(key)) for key in _PAYLOADS]
    return hashlib.sha256(orjson.dumps([ids, name, times, status, payloads], option=orjson.OPT_SORT_KEYS)).digest()


def _value(text: Any) -> Any:
    """A payload as the object it stands for: MLflow writes plain text as JSON, and JSON as it is."""
    if not isinstance(text, str):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _hex(encoded: str | None) -> str | None:
    return base64.b64decode(encoded).hex() if encoded else None
