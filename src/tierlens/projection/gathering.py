"""Journal lines gathered into traces for those who look on: each given out when its root has come."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import orjson

from tierlens.journal.codec import Line
from tierlens.projection.prices import PriceBook
from tierlens.projection.tree import TraceTree, tree

_TRACES: Final = 1_000


class Traces:
    """The traces whose root has not come yet; of more than 1,000, the oldest is forgotten.

    Args:
        prices: of the calls in them.
    """

    def __init__(self, prices: PriceBook) -> None:
        self._prices = prices
        self._open: OrderedDict[str, dict[str, bytes]] = OrderedDict()

    def add(self, line: Line) -> TraceTree | None:
        """Take a line; returns the trace that it ends, if it does."""
        if line.kind != "span":
            return None
        spans = self._open.setdefault(line.trace, {})
        spans[line.span] = line.payload
        if len(self._open) > _TRACES:
            self._open.popitem(last=False)
        if not line.root:
            return None
        self._open.pop(line.trace, None)
        parsed: list[dict[str, Any]] = [orjson.loads(payload) for payload in spans.values()]
        return tree(line.trace, line.experiment, line.brand, line.span, parsed, self._prices)
