"""Values that fit a JSON Schema, taken from a text where it has some.

Knows what tool schemas use: type (also lists of types), properties, required, additionalProperties, items, prefixItems,
minItems, maxItems, uniqueItems, enum, const, default, examples, anyOf, oneOf, allOf, $ref, minimum, maximum and their
exclusive forms, multipleOf, minLength, maxLength, format. A ``pattern`` is met where the text, the default or an example
has something that fits it, and not otherwise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final

from tierlens.testing.claude import reading
from tierlens.testing.claude.reading import Figure
from tierlens.testing.claude.request import Json

_FORMATS: Final = {
    "date": (r"\b\d{4}-\d{2}-\d{2}\b", "2026-01-01"),
    "date-time": (r"\b\d{4}-\d{2}-\d{2}T[\d:]+(?:\.\d+)?(?:Z|[-+]\d{2}:\d{2})", "2026-01-01T00:00:00Z"),
    "time": (r"\b\d{2}:\d{2}:\d{2}\b", "09:00:00Z"),
    "email": (r"[\w.+-]+@[\w-]+\.[\w.]+", "analyst@example.com"),
    "uri": (r"https?://[^\s\"'<>]+", "https://example.com/"),
    "uuid": (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "00000000-0000-4000-8000-000000000000"),
}
_PROSE: Final = re.compile(
    r"summary|rationale|reason|explanation|recommend|answer|analysis|insight|narrative|text|description|finding|"
    r"conclusion|comment|message|evidence|action|step|note|risk|hypothesis|lesson",
    re.IGNORECASE,
)
_QUESTION: Final = re.compile(r"question|query|search|prompt|input", re.IGNORECASE)
_DEEP: Final = 4


def fill(schema: Json, text: str, background: str = "") -> Any:
    """A value for ``schema`` from ``text``; ``background`` is looked into for labelled values only.

    Always the same for the same arguments.
    """
    return _Filling(schema, text, background).value(schema, "", 0)


class _Filling:
    """One value being filled: keeps which numbers and sentences of the text are still unused."""

    def __init__(self, root: Json, text: str, background: str) -> None:
        self._root, self._text = root, text
        self._everything = f"{text}\n{background}"
        self._labelled = reading.labelled_figures(self._everything)
        self._numbers = reading.numbers(text)
        self._sentences = reading.sentences(text) or [text.strip() or "No text was given."]
        self._turn = 0

    def value(self, schema: Json | bool, name: str, depth: int) -> Any:
        """A value for ``schema``, which stands under the member ``name``."""
        plain = self._resolved(schema, depth)
        if "const" in plain:
            return plain["const"]
        if "enum" in plain:
            return self._chosen(plain["enum"])
        kind = plain.get("type") or _implied_type(plain)
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        return getattr(self, f"_{kind}")(plain, name, depth)

    def _resolved(self, schema: Json | bool, depth: int) -> Json:
        """The schema with references followed and the first usable branch taken."""
        if isinstance(schema, bool):
            return {"type": "string"}
        while True:
            if "$ref" in schema:
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = {**self._target(schema["$ref"]), **rest}
            elif branches := schema.get("anyOf") or schema.get("oneOf"):
                schema = {**_without(schema, "anyOf", "oneOf"), **_branch(branches, depth)}
            elif parts := schema.get("allOf"):
                schema = _merged(
                    [_without(schema, "allOf"), *(self._resolved(part, depth) for part in parts)]
                )
            else:
                return schema

    def _target(self, reference: str) -> Json:
        target: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")] if step else target
        found: Json = target
        return found

    def _chosen(self, options: list[Any]) -> Any:
        """The first option that the text names, else the first there is."""
        return next((one for one in options if reading.mentions(self._text, str(one))), options[0])

    def _null(self, schema: Json, name: str, depth: int) -> None:
        return None

    def _boolean(self, schema: Json, name: str, depth: int) -> bool:
        said = reading.labelled_text(name, self._everything) if name else None
        if said is not None and said.lower() in ("true", "yes", "false", "no"):
            return said.lower() in ("true", "yes")
        default = schema.get("default")
        return default if isinstance(default, bool) else reading.mentions(self._text, name)

    def _number(self, schema: Json, name: str, depth: int) -> float:
        found = next((value for value in self._offers(schema, name) if _in_range(value, schema)), None)
        return _middle(schema) if found is None else found

    def _integer(self, schema: Json, name: str, depth: int) -> int:
        whole = (math.floor(value) for value in self._offers(schema, name) if value == math.floor(value))
        found = next((value for value in whole if _in_range(value, schema)), None)
        return (
            round(_middle({**schema, "multipleOf": schema.get("multipleOf", 1)})) if found is None else found
        )

    def _offers(self, schema: Json, name: str) -> Iterator[float]:
        """Numbers to try: those labelled with the name, the default, then the unused ones of the text."""
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        for figure in self._labelled:
            if name and (reading.mentions(figure.label, name) or reading.mentions(name, figure.label)):
                yield from _readings(figure, high)
        default = schema.get("default")
        if isinstance(default, int | float) and not isinstance(default, bool):
            yield default
        for at, figure in enumerate(self._numbers):
            for value in _readings(figure, high):
                if _in_range(value, schema):
                    del self._numbers[at]
                    yield value
                    return

    def _string(self, schema: Json, name: str, depth: int) -> str:
        if schema.get("format") in _FORMATS:
            pattern, usual = _FORMATS[schema["format"]]
            match = re.search(pattern, self._everything)
            return match.group() if match else usual
        if pattern := schema.get("pattern"):
            return self._matching(pattern, schema)
        return _sized(self._words_for(schema, name), schema)

    def _matching(self, pattern: str, schema: Json) -> str:
        offers = [
            schema.get("default"),
            *(schema.get("examples") or ()),
            *re.split(r"[\s\"',;]+", self._everything),
        ]
        return next((one for one in offers if isinstance(one, str) and re.search(pattern, one)), "")

    def _words_for(self, schema: Json, name: str) -> str:
        said = reading.labelled_text(name, self._everything) if name else None
        if said:
            return said
        if isinstance(schema.get("default"), str):
            return str(schema["default"])
        if _QUESTION.search(name):
            return next((one for one in self._sentences if one.endswith("?")), self._sentences[0])
        known = [] if _PROSE.search(name) else reading.names(self._text)
        return known[0] if known else self._next_sentence()

    def _next_sentence(self) -> str:
        sentence = self._sentences[self._turn % len(self._sentences)]
        self._turn += 1
        return sentence

    def _array(self, schema: Json, name: str, depth: int) -> list[Any]:
        least, most = schema.get("minItems", 0), schema.get("maxItems", 2)
        if "prefixItems" in schema:
            return [self.value(item, name, depth + 1) for item in schema["prefixItems"]]
        if depth >= _DEEP and not least:
            return []
        item = self._resolved(schema.get("items", True), depth)
        if "enum" in item:
            return self._several(item["enum"], least, schema.get("maxItems", len(item["enum"])))
        return [self.value(item, name.removesuffix("s"), depth + 1) for _ in range(max(least, min(most, 2)))]

    def _several(self, options: list[Any], least: int, most: int) -> list[Any]:
        """The options that the text names, else the first; more of them where the schema wants more."""
        named = [one for one in options if reading.mentions(self._text, str(one))] or options[:1]
        rest = [one for one in options if one not in named]
        return [*named, *rest[: max(0, least - len(named))]][:most]

    def _object(self, schema: Json, name: str, depth: int) -> dict[str, Any]:
        properties, required = schema.get("properties") or {}, schema.get("required") or ()
        wanted = {key: one for key, one in properties.items() if depth < _DEEP or key in required}
        filled = {key: self.value(one, key, depth + 1) for key, one in wanted.items()}
        extra = schema.get("additionalProperties")
        if properties or not isinstance(extra, dict):
            return filled
        labels = [figure.label.replace(" ", "_") for figure in self._labelled[:3]]
        return {key: self.value(extra, key, depth + 1) for key in labels}


def _implied_type(schema: Json) -> str:
    if "properties" in schema or "additionalProperties" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _branch(branches: list[Json], depth: int) -> Json:
    """The first branch that is not null; far down a recursive schema, null if that is one."""
    ordered = sorted(branches, key=lambda one: (one.get("type") == "null") is (depth < _DEEP))
    return ordered[0]


def _without(schema: Json, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in keys}


def _merged(parts: list[Json]) -> Json:
    """All members of all parts; their properties and required lists joined."""
    merged: dict[str, Any] = {}
    for part in parts:
        merged.update(part)
    merged["properties"] = {key: one for part in parts for key, one in (part.get("properties") or {}).items()}
    merged["required"] = [key for part in parts for key in part.get("required") or ()]
    return merged if merged["properties"] else _without(merged, "properties", "required")


def _readings(figure: Figure, high: float | None) -> list[float]:
    """What a figure can mean: of "42%", 0.42 first where the schema ends at 1, else 42."""
    if not figure.is_share:
        return [figure.value]
    share = round(figure.value / 100, 12)
    return [share, figure.value] if high is not None and high <= 1 else [figure.value, share]


def _in_range(value: float, schema: Json) -> bool:
    step = schema.get("multipleOf")
    return (
        value >= schema.get("minimum", -math.inf)
        and value <= schema.get("maximum", math.inf)
        and value > schema.get("exclusiveMinimum", -math.inf)
        and value < schema.get("exclusiveMaximum", math.inf)
        and (step is None or math.isclose(value / step, round(value / step), abs_tol=1e-9))
    )


def _middle(schema: Json) -> float:
    """A number inside the schema's bounds, on its grid; 0 where nothing is said."""
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    step = schema.get("multipleOf")
    if low is None and high is None:
        return 0
    if low is None or high is None:
        middle = low + (step or 1) if high is None else high - (step or 1)
    else:
        middle = (low + high) / 2
    return float(middle) if step is None else float(math.floor(middle / step) * step)


def _sized(text: str, schema: Json) -> str:
    """``text`` made as long as the schema wants: repeated, then cut."""
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    while len(text) < least:
        text = f"{text} {text}" if text else "text"
    return text if most is None else text[:most]
