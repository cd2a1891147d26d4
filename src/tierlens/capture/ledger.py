"""A node's state, stored as what changed.

A graph hands its whole state to every node; stored whole each time, a trace grows with the square of its
length. Here a value that this trace already holds is stored as a reference to the span that holds it:

- ``{"$same": "<span>", "head": "The estimated…"}``: as in that span's inputs, under the same key;
- ``{"$same": "<span>", "kept": 9, "added": [...]}``: its first 9 items, then these;
- ``{"$same": "<span>", "head": "…", "changed": {...}, "dropped": [...]}``: that mapping, these entries set, those gone;
- ``{"$from": "<span>/notes/0", "head": "…"}``: as in that span's outputs, at that JSON pointer (RFC 6901);
- ``{"$from": "<span>/reply", "head": "…"}``: as the model of that span said;
- ``{"$cut": {"bytes": 99, "sha256": "…"}, "head": "…"}``: longer than the policy stores of a value;
- ``{"$value": {…}}``: a mapping that has one of these names as a key itself.

Values below ``SMALL`` bytes are always stored whole: they cost less than a reference, and people read them.
``tierlens.state.whole`` puts the references back.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from tierlens.capture import payload
from tierlens.capture.heads import head
from tierlens.capture.messages import is_message
from tierlens.capture.shapes import has
from tierlens.capture.state import chosen
from tierlens.policy import StatePolicy
from tierlens.spans import NONE

SMALL = 160
MOST_ITEMS = 1_000
ALL = sys.maxsize
_ATOMS = (str, int, float, bool, type(None), bytes)
_NUMBERS = frozenset({int, float, bool, type(None)})
_STRINGS = frozenset({str})
_MARKS = frozenset({"$same", "$from", "$cut", "$value"})


class Seen(NamedTuple):
    """A value as it was last stored in full or by growth: by which span, how much of it at most (``ALL`` where
    nothing was cut), and what tells its items unchanged."""

    span_id: str
    value: object
    encoded: bytes
    tokens: list[object] | dict[str, object]
    max_bytes: int


class Known(NamedTuple):
    """A value that stands in some span's outputs. The object itself is kept, since an id is only unique while its
    object lives; ``token`` tells whether it still is what it was then, None where it cannot change. The reference
    to it comes with its first words and, brief, without."""

    item: object
    token: object
    reference: bytes
    brief: bytes


class StateLedger:
    """What one trace already holds. Shared by the trace's threads; each entry is written whole and never changed.

    ``heads`` is turned off once the trace holds private text: a reference's first words might be some of it.
    """

    def __init__(self) -> None:
        self.heads = True
        self._seen: dict[str, Seen] = {}
        self._produced: dict[int, Known] = {}

    def inputs(self, span_id: str, state: Mapping[Any, object], policy: StatePolicy, remember: bool) -> bytes:
        """JSON object of a node's inputs; with ``remember``, later spans may refer to what is stored whole."""
        fields: dict[str, object] = {}
        for name, value in chosen(state, policy):
            if not _is_plain(value):
                value = orjson.Fragment(self._input(span_id, name, value, policy.max_bytes, remember))
            fields[name] = value
        return _object(fields)

    def outputs(self, state: Mapping[Any, object], policy: StatePolicy, *, brief: bool, span_id: str = "") -> bytes:
        """JSON object of a run's outputs, where what runs inside it produced stands by reference.

        Args:
            brief: of a whole graph's state: references go without the first words, which stand on the nodes.
            span_id: of a node whose outputs later spans may refer to.
        """
        fields: dict[str, object] = {}
        whole: list[tuple[str, object]] = []
        for name, value in chosen(state, policy):
            if _is_plain(value):
                fields[name] = value
                continue
            encoded = self._whole(value, policy.max_bytes, brief)
            fields[name] = orjson.Fragment(encoded)
            if span_id and b'"$cut"' not in encoded:
                whole.append((name, value))
        for name, value in whole:
            self._produced_at(span_id, name, value)
        return _object(fields)

    def value(self, value: object, policy: StatePolicy) -> bytes:
        """JSON of inputs or outputs that are no mapping, with references to what this trace already holds."""
        return self._whole(value, policy.max_bytes)

    def _produced_at(self, span_id: str, name: str, value: object) -> None:
        pointer = name.replace("~", "~0").replace("/", "~1") if "/" in name or "~" in name else name
        if not isinstance(value, list):
            self.remember(value, span_id, pointer)
            return
        for place, item in enumerate(value):
            if type(item) is not str or id(item) not in self._produced:
                self.remember(item, span_id, f"{pointer}/{place}")

    def remember(self, item: object, span_id: str, pointer: str) -> None:
        """Remember a long string, message or document that stands in a span's outputs at ``pointer``."""
        if isinstance(item, str):
            if len(item) <= SMALL:
                return
            token = None
        elif is_message(item) or has(item, "page_content"):
            token = _token(item)
        else:
            return
        known = self._produced.get(id(item))
        if known is None or known.token != token:
            place = {"$from": f"{span_id}/{pointer}"}
            reference = orjson.dumps({**place, "head": head(item)}) if self.heads else b""
            self._produced[id(item)] = Known(item, token, reference, orjson.dumps(place))

    def _input(self, span_id: str, name: str, value: object, max_bytes: int, remember: bool) -> bytes:
        seen = self._seen.get(name)
        if type(value) is list and len(value) <= MOST_ITEMS:
            return self._list(span_id, name, value, seen, max_bytes, remember)
        if type(value) is dict and len(value) <= MOST_ITEMS and _STRINGS.issuperset(map(type, value)):
            return self._mapping(span_id, name, value, seen, max_bytes, remember)
        if seen is not None and value is seen.value and isinstance(value, _ATOMS) and max_bytes <= seen.max_bytes:
            return self._same(seen, value)
        encoded = self._whole(value, max_bytes)
        if len(encoded) <= SMALL:
            return encoded
        if seen is not None and encoded == seen.encoded:
            return self._same(seen, value)
        if remember:
            self._seen[name] = Seen(span_id, value, encoded, [], _stored(encoded, max_bytes))
        return encoded

    def _list(
        self, span_id: str, name: str, value: list[object], seen: Seen | None, max_bytes: int, remember: bool
    ) -> bytes:
        tokens = _tokens(value)
        kept = len(seen.tokens) if seen is not None and type(seen.tokens) is list else 0
        before = ALL
        if seen is None or not kept or max_bytes > seen.max_bytes or tokens[:kept] != seen.tokens:
            encoded = self._whole(value, max_bytes)
        elif kept == len(tokens):
            return self._same(seen, value) if len(seen.encoded) > SMALL else seen.encoded
        else:
            added = b",".join([self._item(item, max_bytes, True) for item in value[kept:]])
            encoded = b'{"$same":"%b","kept":%d,"added":[%b]}' % (seen.span_id.encode(), kept, added)
            before = seen.max_bytes
        if remember:
            self._seen[name] = Seen(span_id, value, encoded, tokens, min(before, _stored(encoded, max_bytes)))
        return encoded

    def _mapping(
        self, span_id: str, name: str, value: dict[str, object], seen: Seen | None, max_bytes: int, remember: bool
    ) -> bytes:
        tokens = dict(zip(value, _tokens(list(value.values())), strict=True))
        grown = self._changes(value, tokens, seen, max_bytes) if seen is not None else None
        before = ALL
        if seen is None or grown is None:
            encoded = self._whole(value, max_bytes)
        elif tokens == seen.tokens:
            return self._same(seen, value)
        else:
            encoded, before = grown, seen.max_bytes
        # What was cut has no entries to refer to, and what is short is read as it is.
        if remember and len(encoded) > SMALL and not encoded.startswith(b'{"$cut"'):
            self._seen[name] = Seen(span_id, value, encoded, tokens, min(before, _stored(encoded, max_bytes)))
        return encoded

    def _changes(self, value: dict[str, object], tokens: dict[str, object], seen: Seen, max_bytes: int) -> bytes | None:
        """A mapping as what changed in it; None where it has nothing in common with what was seen."""
        before = seen.tokens
        if type(before) is not dict or max_bytes > seen.max_bytes:
            return None
        dropped = [key for key in before if key not in tokens]
        changed = [key for key, token in tokens.items() if key not in before or before[key] != token]
        merged = [key for key in before if key in tokens] + [key for key in changed if key not in before]
        if len(changed) == len(tokens) or merged != list(tokens):
            return None
        fields = {key: orjson.Fragment(self._item(value[key], max_bytes, True)) for key in changed}
        said = {"head": head(value)} if self.heads else {}
        grown = {"$same": seen.span_id, **said, "changed": fields} | ({"dropped": dropped} if dropped else {})
        try:
            encoded = orjson.dumps(grown)
        except TypeError:  # a lone surrogate in a name
            return None
        return encoded if len(encoded) <= max_bytes else None

    def _whole(self, value: object, max_bytes: int, brief: bool = False) -> bytes:
        if not isinstance(value, list):
            return self._item(payload.natives(value) if type(value) is tuple else value, max_bytes, brief)
        if len(value) == 1:
            return b"[%b]" % self._item(value[0], max_bytes, brief)
        items: list[bytes] = []
        size = 0
        for item in value:
            encoded = self._item(item, max_bytes, brief)
            size += len(encoded)
            if size > max_bytes and items:
                rest = payload.cut_note(payload.encode(payload.natives(value[len(items) :])))
                items.append(orjson.dumps({"$cut": {"items": len(value) - len(items), **rest}}))
                break
            items.append(encoded)
        return b"[%b]" % b",".join(items)

    def _item(self, item: object, max_bytes: int, brief: bool = False) -> bytes:
        known = self._produced.get(id(item))
        if known is not None and (known.token is None or known.token == _token(item)):
            # Brief is without the first words, where they were just to be read.
            return known.brief if brief or not self.heads else known.reference
        if isinstance(item, str) and len(item) > max_bytes:
            return payload.encode({"$cut": payload.cut_note(item.encode("utf-8", "replace")), "head": item[:max_bytes]})
        if type(item) is dict and not _MARKS.isdisjoint(item):
            item = {"$value": item}
        return payload.capped(payload.encode(item), max_bytes)

    def _same(self, seen: Seen, value: object) -> bytes:
        return orjson.dumps({"$same": seen.span_id, "head": head(value) if self.heads else ""})


def _stored(encoded: bytes, max_bytes: int) -> int:
    """How much of a value was stored at most."""
    return max_bytes if b'"$cut"' in encoded else ALL


def _is_plain(value: object) -> bool:
    """Whether a value is a number, or text that takes no more room as it is than a reference to it."""
    kind = type(value)
    if kind is str:
        return len(value) <= SMALL and value.isascii()  # type: ignore[arg-type,attr-defined]  # kind says str
    return kind in _NUMBERS


def _object(fields: dict[str, object]) -> bytes:
    """JSON object of plain numbers, short strings and fragments."""
    try:
        encoded = orjson.dumps(fields)
    except TypeError:  # a number of more than 64 bits, or a lone surrogate in a name
        whole = {
            payload.well_formed(name): value
            if isinstance(value, orjson.Fragment)
            else orjson.Fragment(payload.encode(value))
            for name, value in fields.items()
        }
        encoded = orjson.dumps(whole)
    return encoded if _MARKS.isdisjoint(fields) else b'{"$value":%b}' % encoded


def _tokens(value: list[object]) -> list[object]:
    """What tells each item unchanged, even where it is the same object, changed in place."""
    if _STRINGS.issuperset(map(type, value)):
        return value[:]
    return [item if type(item) is str else _token(item) for item in value]


def _token(item: object) -> object:
    """A string itself, what is stored of a message, for the rest their JSON."""
    if type(item) is str:
        return item
    if not is_message(item):
        return payload.encode(item)
    fields = getattr(item, "__dict__", NONE)
    content, calls = fields.get("content"), fields.get("tool_calls")
    return (
        fields.get("type"),
        fields.get("role"),
        content if type(content) is str else payload.encode(content),
        payload.encode(calls) if calls else None,
        fields.get("name"),
        fields.get("tool_call_id"),
    )
