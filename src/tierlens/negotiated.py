"""Prices of one's own, over the published ones: ``config/prices.yaml`` as facts, and as text for a shipper."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Final

VARIABLE: Final = "TIERLENS_PRICES"
"""The environment variable by which whoever ships is told them, since it reads no configuration."""


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What calls of some models cost, in USD per million tokens.

    Attributes:
        provider, model: patterns with ``*``, without regard to case.
        cache_read, cache_write: None means as ``input``.
        cache_write_1h: None means as ``cache_write``.
        batch: the part of it that is paid in a batch; None means as published.
        since, until: ISO dates (UTC), both days included; "" means without end.
        source: the file it stands in.
    """

    provider: str
    model: str
    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    batch: float | None = None
    since: str = ""
    until: str = ""
    source: str = "config/prices.yaml"

    def holds(self, provider: str, model: str, day: str) -> bool:
        """Whether it is the price of a model on a day, an ISO date."""
        named = fnmatchcase(provider.lower(), self.provider.lower()) and fnmatchcase(model.lower(), self.model.lower())
        return named and self.since <= day and (not self.until or day <= self.until)


def dump(prices: Iterable[Negotiated]) -> str:
    """As one line of JSON; the same prices, the same line."""
    return json.dumps([asdict(price) for price in prices], separators=(",", ":"), sort_keys=True)


def load(text: str) -> tuple[Negotiated, ...]:
    """What ``dump`` wrote; nothing of "".

    Raises:
        ValueError, TypeError: it is something else.
    """
    return tuple(Negotiated(**price) for price in json.loads(text)) if text else ()
