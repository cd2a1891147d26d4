"""Dotted paths into inputs and outputs: ``outputs.causal_confidence``, ``outputs.scores.0``."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tierlens.capture.shapes import has
from tierlens.spans import Metric


def lookup(root: Mapping[str, object], path: str) -> object | None:
    """The value at ``path``, through mappings, lists and attributes; None where a step is missing."""
    here: object = root
    for step in path.split("."):
        if isinstance(here, Mapping):
            here = here.get(step)
        elif isinstance(here, list | tuple):
            here = here[int(step)] if step.lstrip("-").isdigit() and -len(here) <= int(step) < len(here) else None
        elif step.lstrip("-").isdigit() and has(here, "shape"):
            here = _at(here, int(step))
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


def _at(array: Any, place: int) -> object | None:
    """What stands at a place of an array, or of a column."""
    try:
        return array.iloc[place] if has(array, "iloc") else array[place]  # type: ignore[no-any-return]  # foreign
    except Exception:  # no such place, or no places at all
        return None


def _alone(value: Any) -> object:
    """What an array of no dimensions, or another library's number, is in Python; all else as it is."""
    try:
        return value.item() if has(value, "shape") and has(value, "item") and value.shape == () else value
    except Exception:  # a tensor that is nowhere, say
        return value


def as_metric(value: object) -> Metric | None:
    """``value`` as a metric (number, bool or label), or None where it is none: NaN, infinities, other types.

    An array of no dimensions is the number in it.
    """
    if isinstance(value, bool | str):
        return value
    value = _alone(value)
    if isinstance(value, bool | str):
        return value
    if not isinstance(value, numbers.Real | Decimal):
        return None
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):  # an integer of hundreds of digits, a Decimal that signals
        return None
    return number if math.isfinite(number) else None
