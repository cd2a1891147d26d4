"""Custom metrics of a span, with what is known of them, from its journal line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from tierlens import keys
from tierlens.journal.codec import Line
from tierlens.projection.finish import Finding
from tierlens.projection.reading import said_by


def findings_of(line: Line) -> Iterator[Finding]:
    """The metrics set on a span, as of its end.

    Raises:
        ValueError, KeyError, TypeError: the payload is no span in OTLP JSON.
    """
    if not line.metrics:
        return
    span: dict[str, Any] = orjson.loads(line.payload)
    said = said_by(span)
    for name, value in line.metrics.items():
        yield Finding(line.span, name, value, int(span["endTimeUnixNano"]), about(name, said))


def about(name: str, said: Mapping[str, Any]) -> dict[str, str]:
    """Unit and direction of a metric, where the attributes of its span say them."""
    told = {"unit": said.get(keys.METRIC_UNIT + name), "direction": said.get(keys.METRIC_DIRECTION + name)}
    return {key: str(text) for key, text in told.items() if text}
