"""Dotted paths into inputs and outputs: ``outputs.causal_confidence``, ``outputs.scores.0``."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from decimal import Decimal

from tierlens.spans import Metric


def lookup(root: Mapping[str, object], path: str) -> object | None:
    """The value at ``path``, through mappings, lists and attributes; None where a step is missing."""
    here: object = root
    for step in path.split("."):
        if isinstance(here, Mapping):
            here = here.get(step)
        elif isinstance(here, list | tuple):
            here = here[int(step)] if step.lstrip("-").isdigit() and -len(here) <= int(step) < len(here) else None
        else:
            here = None if step.startswith("_") else _attribute(here, step)
        if here is None:
            return None
    return here


def _attribute(value: object, name: str) -> object | None:
    try:
        return getattr(value, name, None)
    except Exception:  # a property that raises
        return None


def as_metric(value: object) -> Metric | None:
    """``value`` as a metric (number, bool or label), or None where it is none: NaN, infinities, other types."""
    if isinstance(value, bool | str):
        return value
    if type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    if not isinstance(value, numbers.Real | Decimal):
        return None
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):  # an integer of hundreds of digits, a Decimal that signals
        return None
    return number if math.isfinite(number) else None
