"""Values that fit a JSON Schema, taken from a text where it has some.

Knows what tool schemas use: type (one or a list), properties, required, additionalProperties, items,
prefixItems, minItems, maxItems, enum, const, default, examples, anyOf, oneOf, allOf, $ref, minimum, maximum
and their exclusive forms, multipleOf, minLength, maxLength, format. A ``pattern`` is met where the text, the
default or an example has something that fits it, and not otherwise.
"""

from __future__ import annotations

import itertools
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tierlens.testing.claude import reading
from tierlens.testing.claude.request import Json
from tierlens.testing.claude.schema import branch, in_range, kind_of, merged, middle, readings, sized, without

_FORMATS: Final = {
    "date": (r"\b\d{4}-\d{2}-\d{2}\b", "2026-01-01"),
    "date-time": (r"\b\d{4}-\d{2}-\d{2}T[\d:]+(?:\.\d+)?(?:Z|[-+]\d{2}:\d{2})", "2026-01-01T00:00:00Z"),
    "time": (r"\b\d{2}:\d{2}:\d{2}\b", "09:00:00"),
    "email": (r"[\w.+-]+@[\w-]+\.[\w.]*\w", "analyst@example.com"),
    "uri": (r"https?://[^\s\"'<>]+", "https://example.com/"),
    "uuid": (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "00000000-0000-4000-8000-000000000000"),
}
_PROSE: Final = re.compile(
    r"summary|rationale|reason|expla|recommend|answer|analysis|insight|narrative|text|description|finding|"
    r"conclusion|comment|message|evidence|action|step|note|risk|hypothesis|lesson",
    re.IGNORECASE,
)
_QUESTION: Final = re.compile(r"question|query|search|prompt", re.IGNORECASE)
_DEEP: Final = 4


def fill(schema: Json, text: str, background: str = "") -> Any:
    """A value for ``schema`` from ``text``; ``background`` is looked into for labelled values only.

    Always the same for the same arguments.
    """
    return _Filling(schema, text, background).value(schema, "", 0)


class _Filling:
    """One value being filled: keeps which numbers and sentences of the text are still unused."""

    def __init__(self, root: Json, text: str, background: str) -> None:
        self._root, self._plain = root, reading.plain(text)
        self._everything = f"{text}\n{background}"
        self._labelled = reading.labelled_figures(self._everything)
        self._numbers = reading.numbers(text)
        self._names = reading.names(text)
        self._sentences = reading.sentences(text) or [text.strip() or "No text was given."]
        self._turn = 0
        self._by_kind: Mapping[str, Callable[[Json, str, int], Any]] = {
            "null": lambda schema, name, depth: None,
            "boolean": self._boolean,
            "integer": self._integer,
            "number": self._number,
            "string": self._string,
            "array": self._array,
            "object": self._object,
        }

    def value(self, schema: Json | bool, name: str, depth: int) -> Any:
        """A value for ``schema``, which stands under the member ``name``."""
        flat = self._flat(schema, depth)
        if "const" in flat:
            return flat["const"]
        if "enum" in flat:
            return self._named(flat["enum"])[0]
        return self._by_kind.get(kind_of(flat), self._string)(flat, name, depth)

    def _flat(self, schema: Json | bool, depth: int) -> Json:
        """The schema with references followed, its first usable branch taken and its parts joined."""
        if isinstance(schema, bool):
            return {"type": "string"}
        if "$ref" in schema:
            return self._flat({**self._target(schema["$ref"]), **without(schema, "$ref")}, depth)
        if branches := schema.get("anyOf") or schema.get("oneOf"):
            return self._flat({**without(schema, "anyOf", "oneOf"), **branch(branches, depth < _DEEP)}, depth)
        if parts := schema.get("allOf"):
            return merged([without(schema, "allOf"), *(self._flat(part, depth) for part in parts)])
        return schema

    def _target(self, reference: str) -> Json:
        target: Any = self._root
        for step in filter(None, reference.removeprefix("#").split("/")):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        found: Json = target
        return found

    def _named(self, options: list[Any]) -> list[Any]:
        """The options that the text names; where it names none, the first."""
        return [one for one in options if reading.mentions(self._plain, str(one))] or options[:1]

    def _boolean(self, schema: Json, name: str, depth: int) -> bool:
        said = reading.labelled_text(name, self._everything) if name else None
        if said is not None and said.lower() in ("true", "yes", "false", "no"):
            return said.lower() in ("true", "yes")
        default = schema.get("default")
        return default if isinstance(default, bool) else reading.mentions(self._plain, name)

    def _number(self, schema: Json, name: str, depth: int) -> float:
        fitting = (value for value in self._offers(schema, name) if in_range(value, schema))
        return next(fitting, middle(schema))

    def _integer(self, schema: Json, name: str, depth: int) -> int:
        whole = {**schema, "multipleOf": schema.get("multipleOf", 1)}
        return round(self._number(whole, name, depth))

    def _offers(self, schema: Json, name: str) -> Iterator[float]:
        """Numbers to try: those labelled with the name, the default, then the unused ones of the text."""
        high = schema.get("maximum", schema.get("exclusiveMaximum", math.inf))
        wanted = reading.plain(name)
        for figure in sorted(self._labelled, key=lambda one: reading.plain(one.label) != wanted):
            if reading.mentions(reading.plain(figure.label), name) or reading.mentions(wanted, figure.label):
                yield from readings(figure, high)
        default = schema.get("default")
        if isinstance(default, int | float) and not isinstance(default, bool):
            yield default
        yield from self._unused(schema, high)

    def _unused(self, schema: Json, high: float) -> Iterator[float]:
        """The first number of the text that is in range and has not been taken; it is taken now."""
        for at, figure in enumerate(self._numbers):
            fitting = [value for value in readings(figure, high) if in_range(value, schema)]
            if fitting:
                del self._numbers[at]
                yield fitting[0]
                return

    def _string(self, schema: Json, name: str, depth: int) -> str:
        if schema.get("format") in _FORMATS:
            pattern, usual = _FORMATS[schema["format"]]
            match = re.search(pattern, self._everything)
            return match.group() if match else usual
        if "pattern" in schema:
            return self._matching(schema)
        return sized(self._words_for(schema, name), schema)

    def _matching(self, schema: Json) -> str:
        try:
            pattern = re.compile(schema["pattern"])
        except re.error:
            return sized("", schema)
        said = re.split(r"[\s\"',;]+", self._everything)
        offers = [schema.get("default"), *(schema.get("examples") or ()), *said]
        return next((one for one in offers if isinstance(one, str) and pattern.search(one)), "")

    def _words_for(self, schema: Json, name: str) -> str:
        said = reading.labelled_text(name, self._everything) if name else None
        if said is not None:
            return said
        if isinstance(schema.get("default"), str):
            return str(schema["default"])
        if _QUESTION.search(name):
            return next((one for one in self._sentences if one.endswith("?")), self._sentences[0])
        if self._names and not _PROSE.search(name):
            return self._names[0]
        self._turn += 1
        return self._sentences[(self._turn - 1) % len(self._sentences)]

    def _array(self, schema: Json, name: str, depth: int) -> list[Any]:
        if "prefixItems" in schema:
            return [self.value(item, name, depth + 1) for item in schema["prefixItems"]]
        least, most = schema.get("minItems", 0), schema.get("maxItems", sys.maxsize)
        if depth >= _DEEP and not least:
            return []
        item = self._flat(schema.get("items", True), depth)
        if "enum" in item:
            named = self._named(item["enum"])
            rest = [one for one in item["enum"] if one not in named]
            wanted = min(most, max(least, len(named)))
            return list(itertools.islice(itertools.chain(named, rest, itertools.cycle(named)), wanted))
        wanted = max(least, min(most, 2))
        return [self.value(item, name.removesuffix("s"), depth + 1) for _ in range(wanted)]

    def _object(self, schema: Json, name: str, depth: int) -> dict[str, Any]:
        properties, required = schema.get("properties") or {}, schema.get("required") or ()
        wanted = {key: one for key, one in properties.items() if depth < _DEEP or key in required}
        extra = schema.get("additionalProperties")
        if not properties and isinstance(extra, dict):
            wanted = {figure.label.replace(" ", "_"): extra for figure in self._labelled[:3]}
        return {key: self.value(one, key, depth + 1) for key, one in wanted.items()}
