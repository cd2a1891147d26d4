"""Pure questions about JSON Schemas: what kind of value, in what range, of what length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tierlens.testing.claude.reading import Figure
from tierlens.testing.claude.request import Json


def kind_of(schema: Json) -> str:
    """The schema's type; of several the first that is not null; without one, what its members imply."""
    kind = schema.get("type")
    if isinstance(kind, list):
        return next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in schema or "additionalProperties" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def branch(branches: Sequence[Json], filled: bool) -> Json:
    """The first branch that holds something; where not to be ``filled``, the null branch if there is one."""
    return min(branches, key=lambda one: (one.get("type") == "null") is filled)


def without(schema: Json, *keys: str) -> dict[str, Any]:
    """The schema but for some members."""
    return {key: value for key, value in schema.items() if key not in keys}


def merged(parts: Sequence[Json]) -> Json:
    """All members of all parts; their properties and required lists joined."""
    whole: dict[str, Any] = {}
    for part in parts:
        whole.update(part)
    properties = {key: one for part in parts for key, one in (part.get("properties") or {}).items()}
    required = [key for part in parts for key in part.get("required") or ()]
    return {**whole, "properties": properties, "required": required} if properties else whole


def readings(figure: Figure, high: float) -> list[float]:
    """What a figure can mean under a maximum: of "42%", 0.42 first where that is at most 1, else 42."""
    if not figure.is_share:
        return [figure.value]
    share = round(figure.value / 100, 12)
    return [share, figure.value] if high <= 1 else [figure.value, share]


def in_range(value: float, schema: Json) -> bool:
    """Whether ``value`` meets the schema's bounds and step."""
    step = schema.get("multipleOf")
    return (
        value >= schema.get("minimum", -math.inf)
        and value <= schema.get("maximum", math.inf)
        and value > schema.get("exclusiveMinimum", -math.inf)
        and value < schema.get("exclusiveMaximum", math.inf)
        and (step is None or math.isclose(value / step, round(value / step), abs_tol=1e-9))
    )


def middle(schema: Json) -> float:
    """A number inside the schema's bounds and on its step; 0 where nothing is said."""
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    step = schema.get("multipleOf")
    if low is None and high is None:
        return 0
    if low is None or high is None:
        between = low + (step or 1) if high is None else high - (step or 1)
    else:
        between = (low + high) / 2
    return float(between) if step is None else float(math.floor(between / step) * step)


def sized(text: str, schema: Json) -> str:
    """``text`` made as long as the schema wants: repeated, then cut."""
    while len(text) < schema.get("minLength", 0):
        text = f"{text} {text}" if text else "text"
    return text[: schema.get("maxLength")]
