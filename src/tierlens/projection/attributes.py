"""Attributes of spans in OTLP JSON: reading them, and what some of them say; adding to them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from tierlens.spans import NONE

Json = Mapping[str, Any]


def attributes_of(owner: Json) -> dict[str, Any]:
    """Those of a span, an event or a resource by key; whole numbers are text, as OTLP JSON has them.

    Raises:
        KeyError, AttributeError, TypeError: the owner is no such thing in OTLP JSON.
    """
    return {pair["key"]: next(iter(pair["value"].values()), "") for pair in owner.get("attributes", ())}


def readable_attributes(owner: Json) -> Mapping[str, Any]:
    """The same; none where the owner is not OTLP, and will be refused as that."""
    try:
        return attributes_of(owner)
    except (KeyError, TypeError, AttributeError):
        return NONE


def add_attributes(owner: dict[str, Any], texts: Mapping[str, str]) -> None:
    """Put texts on a span by key, where it has nothing under that key."""
    attributes = owner.setdefault("attributes", [])
    if isinstance(attributes, list):
        there = {one.get("key") for one in attributes if isinstance(one, dict)}
        attributes += ({"key": key, "value": {"stringValue": text}} for key, text in texts.items() if key not in there)


def counts(said: object) -> dict[str, int]:
    """Tokens by name of a usage, as JSON text or as what that says; without those that are no count."""
    try:
        return {str(name): count for name, count in parsed(said).items() if type(count) is int and count >= 0}
    except (ValueError, AttributeError):
        return {}


def usd(said: object) -> float | None:
    """The total of a cost, as JSON text or as what that says, in USD; None where that is no amount."""
    try:
        return amount(parsed(said)["total_cost"])
    except (ValueError, TypeError, KeyError):
        return None


def is_cost(said: object) -> bool:
    """Whether MLflow can read it as a cost: as a JSON object, or its text."""
    try:
        return isinstance(parsed(said), dict)
    except ValueError:
        return False


def amount(found: object) -> float | None:
    """A finite number that is not negative; None for anything else."""
    plain = isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found) and found >= 0
    return float(found) if plain else None  # type: ignore[arg-type]  # plain says it is a number, mypy cannot see it


def parsed(said: object) -> Any:
    """What a text of JSON says; anything else as it is.

    Raises:
        ValueError: the text is no JSON.
    """
    return orjson.loads(said) if isinstance(said, str) else said
