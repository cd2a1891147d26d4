"""What a span says of its price: the day, and where it is from; and what a reader makes of that."""

from __future__ import annotations

import datetime as dt
import functools
import importlib.metadata
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tierlens import keys
from tierlens.projection.attributes import add_attributes, readable_attributes, usd
from tierlens.spans import NONE

# Some rates hold for a part of the day, which nobody lets begin at 16:37.
QUARTER_NS: Final = 900 * 10**9
ITSELF: Final = "the call itself"
"""The source of a cost that a span came with."""
UNKNOWN: Final = "unknown"
"""What stands in place of a price's day where no price is known."""


class Paid(NamedTuple):
    """What a call cost in all, USD, and by which price; the date is "" where the span came with its cost."""

    usd: float
    date: str
    source: str


def put_source(root: dict[str, Any]) -> str:
    """Say on a trace's root, as OTLP JSON, by which published prices its calls are priced that say nothing themselves.

    Returns:
        The day of those prices; "" where the root says something else of itself.
    """
    attributes = readable_attributes(root)
    if keys.PRICE_SOURCE not in attributes:
        try:
            day = attributes.get(keys.PRICE) or day_of(int(root["startTimeUnixNano"]) // QUARTER_NS)
        except (KeyError, TypeError, ValueError, OverflowError, OSError):
            return ""
        add_attributes(root, {keys.PRICE: day, keys.PRICE_SOURCE: published_source()})
        return str(day)
    return str(attributes.get(keys.PRICE, "")) if attributes[keys.PRICE_SOURCE] == published_source() else ""


def paid_as(cost: object, attributes: Mapping[str, Any], of_root: Mapping[str, Any] = NONE) -> Paid | None:
    """What a stored span says that it cost; None where that is no amount, or not ours: MLflow's server puts prices of
    its own on calls without one.

    Args:
        cost: as JSON text, or as what that says.
        attributes: its own.
        of_root: those of its trace's root.
    """
    if (dollars := usd(cost)) is None or attributes.get(keys.PRICE) == UNKNOWN:
        return None
    by = attributes if keys.PRICE_SOURCE in attributes else {**of_root, **attributes}
    return Paid(dollars, str(by.get(keys.PRICE, "")), str(by.get(keys.PRICE_SOURCE, "")))


def moment_of(quarter: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(quarter * (QUARTER_NS // 10**9), dt.UTC)


def day_of(quarter: int) -> str:
    return moment_of(quarter).date().isoformat()


@functools.cache
def published_source() -> str:
    try:
        return f"genai-prices {importlib.metadata.version('genai-prices')}"
    except importlib.metadata.PackageNotFoundError:  # packed into a program that keeps no such records
        return "genai-prices"
