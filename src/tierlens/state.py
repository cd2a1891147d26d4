"""Whole states back from what was stored as changes: the reading side of ``tierlens.capture.ledger``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

Part = Literal["inputs", "outputs"]

_MISSING: Final = object()
_REPLY: Final = ("choices", 0, "message", "content")


class _Stored(NamedTuple):
    inputs: Any
    outputs: Any


def whole(spans: object, span_id: str, part: Part = "inputs") -> Any:
    """A span's inputs (or outputs) with every reference to other spans replaced by what it refers to.

    ``{"$cut": …}`` stays where a value was longer than its policy stores, and a reference stays as it is where
    the span it names is not among ``spans``, since it was not sampled or has not come yet.

    Args:
        spans: all spans of the trace: an MLflow ``Trace``, its spans, or ``{span_id: {"inputs", "outputs"}}``.
        span_id: the span to read, 16 hex digits.
        part: "inputs" or "outputs".

    Raises:
        KeyError: the span is not among ``spans``.
    """
    stored = _by_id(spans)
    return _Reader(stored).read(getattr(stored[span_id], part))


class _Unwrapped(dict[str, Any]):
    """A state that has a key like a reference's, and was therefore stored one deeper."""


class _Reader:
    """Follows references; what leads nowhere, or back to itself, is left as it stands."""

    def __init__(self, stored: Mapping[str, _Stored]) -> None:
        self._stored = stored

    def read(self, stored: Any) -> Any:
        if isinstance(stored, _Unwrapped) or (isinstance(stored, Mapping) and not isinstance(stored.get("$from"), str)):
            return {key: self._field(key, value) for key, value in stored.items()}
        return self._value(stored)

    def _field(self, key: str, value: Any) -> Any:
        """A field of a state, through the spans it was the same in, or grew in, back to where it stands whole."""
        grown: list[Mapping[str, Any]] = []
        here, passed = value, set[str]()
        while isinstance(here, Mapping) and "$same" in here:
            grown.append(here)
            span_id = here["$same"]
            inputs = self._stored[span_id].inputs if span_id in self._stored else None
            here = inputs.get(key, _MISSING) if isinstance(inputs, Mapping) else _MISSING
            if here is _MISSING or span_id in passed:
                return value
            passed.add(span_id)
        out = self._value(here)
        for growth in reversed(grown):
            out = self._grown(out, growth)
            if out is _MISSING:
                return value
        return out

    def _grown(self, before: Any, growth: Mapping[str, Any]) -> Any:
        """A list with what was added to it, a mapping with what was set and dropped in it."""
        if "kept" in growth:
            added = [self._item(item) for item in growth["added"]]
            return before[: growth["kept"]] + added if isinstance(before, list) else _MISSING
        if "changed" in growth:
            changed = {key: self._item(item) for key, item in growth["changed"].items()}
            dropped = growth.get("dropped", ())
            kept = {key: item for key, item in before.items() if key not in dropped} if _is_mapping(before) else None
            return _MISSING if kept is None else kept | changed
        return before

    def _value(self, value: Any) -> Any:
        return [self._item(item) for item in value] if isinstance(value, list) else self._item(value)

    def _item(self, item: Any) -> Any:
        passed = set[str]()
        here = item
        while isinstance(here, Mapping) and isinstance(place := here.get("$from"), str):
            here = self._at(place) if place not in passed else _MISSING
            if here is _MISSING:
                return item
            passed.add(place)
        return here["$value"] if isinstance(here, Mapping) and "$value" in here else here

    def _at(self, place: str) -> Any:
        """What stands in a span's outputs, by ``<span id>/<JSON pointer>``."""
        span_id, _, pointer = place.partition("/")
        outputs = self._stored[span_id].outputs if span_id in self._stored else None
        found = _follow(outputs, [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")])
        return _follow(outputs, _REPLY) if found is _MISSING and pointer == "reply" else found


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _follow(value: Any, steps: Iterable[str | int]) -> Any:
    for step in steps:
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (KeyError, IndexError, TypeError, ValueError):
            return _MISSING
    return value


def _by_id(spans: object) -> dict[str, _Stored]:
    listed = getattr(getattr(spans, "data", spans), "spans", spans)
    if isinstance(listed, Mapping):
        return {span_id: _stored(span) for span_id, span in listed.items()}
    if not isinstance(listed, Iterable):
        raise TypeError(f"spans is {type(spans).__name__}, neither a trace nor spans nor a mapping of them")
    return {_of(span, "span_id"): _stored(span) for span in listed}


def _stored(span: object) -> _Stored:
    return _Stored(_fields(_parsed(_of(span, "inputs"))), _fields(_parsed(_of(span, "outputs"))))


def _fields(stored: Any) -> Any:
    if not isinstance(stored, Mapping) or not isinstance(inner := stored.get("$value"), Mapping):
        return stored
    return _Unwrapped({**{key: value for key, value in stored.items() if key != "$value"}, **inner})


def _of(span: object, name: str) -> Any:
    return span.get(name) if isinstance(span, Mapping) else getattr(span, name, None)


def _parsed(value: Any) -> Any:
    """A stored value, which is JSON text where nobody has parsed it yet."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
