"""What delivery has to say of a trace, as tags: the request its root came with, and whether it is complete."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from tierlens import keys

Json = Mapping[str, Any]

_STARTED: Final = re.compile(rb'"key":"%b","value":\{"intValue":"(\d{1,9})"' % re.escape(keys.SPANS_STARTED).encode())
_OF: Final = " of "
_SERVICE: Final = "service.name"
_PARENT: Final = b'"parentSpanId":"'
_START: Final = re.compile(rb'"startTimeUnixNano":"(\d{1,19})"')


def tagged(spans: Sequence[Json], tags: Mapping[str, Mapping[str, str]]) -> Sequence[Json]:
    """Spans in OTLP JSON, with tags, given by trace id, on the roots among them: MLflow reads them from there."""
    return [_tagged(s, tags[s["traceId"]]) if not s.get("parentSpanId") and s["traceId"] in tags else s for s in spans]


def without_service_name(resource: Json) -> Json:
    """A resource without its service's name: MLflow makes a tag of it on each trace, and the tag ``app`` says it."""
    return {"attributes": [pair for pair in resource.get("attributes", ()) if pair.get("key") != _SERVICE]}


def _tagged(span: Json, tags: Mapping[str, str]) -> Json:
    said = ({"key": keys.TRACE_TAG + key, "value": {"stringValue": text}} for key, text in tags.items())
    return {**span, "attributes": [*span.get("attributes", ()), *said]}


def completeness(started: int | None, stored: int) -> dict[str, str]:
    """Whether a trace is complete: every span that was started, and meant to be recorded, is stored. ``started`` is
    None where no root says it: one span is missing then, the root."""
    complete = started is not None and stored >= started
    # Both counts in one: a tag costs MLflow's server a fortieth of what a whole trace does.
    counts = f"{stored}{_OF}{'?' if started is None else started}"
    return {keys.SPANS: counts, keys.COMPLETE: "true" if complete else "false"}


def spans_stored(tags: Mapping[str, str]) -> tuple[int | None, int | None]:
    """How many spans of a trace were stored when it was tagged, and how many had been started; None if not said."""
    stored, _, started = tags.get(keys.SPANS, "").partition(_OF)
    return int(stored) if stored.isdecimal() else None, int(started) if started.isdecimal() else None


def trace_tags(root: bytes) -> dict[str, str]:
    """What a root, or its start record, says of its trace, by its OTLP JSON."""
    said = ((a["key"], a["value"].get("stringValue", "")) for a in orjson.loads(root).get("attributes", ()))
    return {key.removeprefix(keys.TRACE_TAG): text for key, text in said if key.startswith(keys.TRACE_TAG)}


def spans_started(root: bytes) -> int | None:
    """How many spans its process had in the trace when the root ended, by the root's OTLP JSON; None if not said."""
    found = _STARTED.search(root)
    return int(found[1]) if found else None


def is_real_root(payload: bytes) -> bool:
    """Whether a span, as OTLP JSON, has no parent anywhere, so that MLflow takes its trace's tags from it."""
    return _PARENT not in payload


def started_ns(payload: bytes) -> int:
    """When a span began, by its OTLP JSON; 0 if it does not say."""
    found = _START.search(payload)
    return int(found[1]) if found else 0
