"""Other libraries' OpenTelemetry spans, in place inside our traces.

A span that starts while one of ours is open goes below it, or below its OpenTelemetry parent where that went
below one of ours; it keeps its span id and gets our trace's. All other spans are none of our business. The
ambient OpenTelemetry context is never touched.

The only module that imports opentelemetry, which langgraph has imported already.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from tierlens import keys
from tierlens.capture import active, conventions, current, outcomes, payload
from tierlens.capture.outcomes import Outcome
from tierlens.capture.recorder import Recorder
from tierlens.capture.trace import Open
from tierlens.spans import AttributeValue, Event, Link

MAX_OPEN: Final = 10_000
_MODELS: Final = frozenset({"CHAT_MODEL", "LLM", "EMBEDDING"})
# MLflow takes a trace's session and user from whichever span names one first, and ours knows better.
_DISPLACED: Final = frozenset({keys.SESSION, keys.USER})
_OURS: Final = ("mlflow.trace", "mlflow.experiment", "mlflow.sourceRun")
_bridged: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


def span_processor() -> SpanProcessor:
    """A processor for ``TracerProvider.add_span_processor``; it does nothing while no Lens runs."""
    return Bridge()


def bridge_installed_provider() -> bool:
    """Add a processor to the global TracerProvider if the application has set one, once; whether there is one."""
    provider = otel.get_tracer_provider()
    add = getattr(provider, "add_span_processor", None)
    if not callable(add):
        return False
    if provider not in _bridged:
        add(span_processor())
        _bridged.add(provider)
    return True


class Bridge(SpanProcessor):
    """Follows OpenTelemetry spans from start to end, also to an end that comes after the trace's own.

    Args:
        max_open: of more spans than this that have not ended, the oldest are given up.
    """

    def __init__(self, max_open: int = MAX_OPEN) -> None:
        self._open: dict[int, Open] = {}
        self._max_open = max_open

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        recorder = active.recorder()
        if recorder is None or not recorder.open:
            return
        try:
            self._start(recorder, span)
        except Exception as error:
            recorder.shield.report("an OpenTelemetry span's start", error)

    def _start(self, recorder: Recorder, span: SdkSpan) -> None:
        key = span.get_span_context().span_id
        parent = _parent(recorder, span.parent)
        if parent is None or key in recorder.open:
            return
        self._open[key] = recorder.start(key, span.name, "UNKNOWN", parent=parent, context=parent.trace.context)
        while len(self._open) > self._max_open:
            self._open.pop(next(iter(self._open)))

    def on_end(self, span: ReadableSpan) -> None:
        context, recorder = span.get_span_context(), active.recorder()
        opened = self._open.pop(context.span_id, None) if context is not None else None
        if opened is None or recorder is None:
            return
        try:
            self._end(recorder, opened, span)
        except Exception as error:
            recorder.shield.report("an OpenTelemetry span's end", error)

    def _end(self, recorder: Recorder, opened: Open, span: ReadableSpan) -> None:
        if opened.recording:
            self._describe(opened, span)
        outcome = outcomes.FINE
        if span.status.status_code is StatusCode.ERROR:
            outcome = Outcome(outcomes.ERROR, span.status.description or "")
        if recorder.open.get(opened.key) is opened:
            recorder.finish(opened, outcome, end_ns=span.end_time)
        elif opened.recording:
            # Its trace ended before it did, and took it for abandoned.
            recorder.rewrite(opened, outcome, span.end_time or opened.trace.now())

    def _describe(self, opened: Open, span: ReadableSpan) -> None:
        private = not opened.policy.log_prompts
        opened.name = span.name
        opened.start_ns = span.start_time or opened.start_ns
        opened.attributes = _attributes(opened, span, private)
        opened.events = tuple(
            Event(event.name, event.timestamp, _values(event.attributes or {}, private)) for event in span.events
        )
        opened.links = tuple(self._link(link, private) for link in span.links)

    def _link(self, link: otel.Link, private: bool) -> Link:
        bridged = self._open.get(link.context.span_id)
        trace_id = bridged.trace.trace_id if bridged is not None else f"{link.context.trace_id:032x}"
        return Link(trace_id, f"{link.context.span_id:016x}", _values(link.attributes or {}, private))


def _parent(recorder: Recorder, above: SpanContext | None) -> Open | None:
    """The innermost open span around a new OpenTelemetry span: its own parent if that is bridged, else ours."""
    here = current.current(recorder)
    bridged = recorder.open.get(above.span_id) if above is not None else None
    if bridged is None or here is None:
        return bridged or here
    ours: Open | None = bridged
    while ours is not None and ours.kind == "UNKNOWN":
        ours = ours.parent
    deeper = ours is not None and here is not ours and here.within(ours) and here.start_ns >= bridged.start_ns
    return here if deeper else bridged


def _attributes(opened: Open, span: ReadableSpan, private: bool) -> dict[str, AttributeValue]:
    found = _values(span.attributes or {}, private)
    attributes = {
        f"otel.{name}" if name in _DISPLACED else name: value
        for name, value in found.items()
        if not name.startswith(_OURS)
    }
    if span.kind is not SpanKind.INTERNAL:
        attributes["span.kind"] = span.kind.name.lower()
    if span.instrumentation_scope is not None:
        attributes["otel.scope.name"] = span.instrumentation_scope.name
    kind = conventions.span_type(attributes)
    attributes.setdefault(keys.SPAN_TYPE, kind or "UNKNOWN")
    return _with_usage(attributes, opened) if kind in _MODELS else attributes


def _with_usage(attributes: dict[str, AttributeValue], opened: Open) -> dict[str, AttributeValue]:
    """Model and tokens as MLflow stores them; where a span of ours has the same call, this is no second one."""
    model, provider = conventions.model(attributes), conventions.provider(attributes)
    if _is_counted(opened, model or ""):
        return {**conventions.without_usage(attributes), keys.SPAN_TYPE: "TASK"}
    if model:
        attributes.setdefault(keys.MODEL, model)
    attributes.setdefault(keys.PROVIDER, provider or "unknown")
    if (usage := conventions.usage(attributes)) is not None:
        attributes.setdefault(keys.TOKEN_USAGE, payload.dumps(usage.as_mlflow()))
        if finer := usage.finer():
            attributes.setdefault(keys.FINER_USAGE, payload.dumps(finer))
    return attributes


def _is_counted(opened: Open, model: str) -> bool:
    """Whether this is a second account of a call that a model span of ours, around or beside it, records."""
    around: list[Open] = []
    here = opened.parent
    while here is not None:
        around.append(here)
        here = here.parent
    beside = (one for one in list(opened.trace.open) if one.parent in around)
    return any(one.kind in _MODELS and _same_model(one, model) for one in (*around, *beside))


def _same_model(one: Open, model: str) -> bool:
    recorded = str(one.attributes.get(keys.MODEL, ""))
    return not recorded or not model or recorded.startswith(model) or model.startswith(recorded)


def _values(attributes: Mapping[str, Any], private: bool) -> dict[str, AttributeValue]:
    return {name: _value(name, value, private) for name, value in attributes.items() if not _drop(name, private)}


def _drop(name: str, private: bool) -> bool:
    return private and name in ("exception.message", "exception.stacktrace")


def _value(name: str, value: Any, private: bool) -> AttributeValue:
    if isinstance(value, bool | int | float):
        return value
    several = list(value) if isinstance(value, tuple | list) else [value]
    if private and not (conventions.is_plain(name) and all(map(_is_word, several))):
        numbers = isinstance(value, tuple | list) and all(isinstance(one, int | float) for one in value)
        return payload.dumps(value) if numbers else payload.shape(value)
    return payload.text(value)


def _is_word(value: Any) -> bool:
    return not isinstance(value, str) or not any(map(str.isspace, value))
