"""Model calls that outlive their trace: a stream that is closed from the outside in, a task that nobody awaited.

What such a call said, and the tokens it took, is known only when it ends.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from tierlens.capture.ledger import StateLedger
from tierlens.capture.trace import Open

MOST: Final = 128


class Outliving:
    """The calls of LangChain's models that were open still when their root ended, the last ``most`` of them.

    Of their traces' states nothing is kept.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._calls: dict[Hashable, Open] = {}

    def add(self, left: Open) -> None:
        """Remember a span that was left open, if it is a model call that callbacks will tell the end of."""
        if not left.recording or left.asked is None or type(left.key) is not int:
            return
        heads, left.trace.ledger = left.trace.ledger.heads, StateLedger()
        left.trace.ledger.heads = heads
        self._calls[left.key] = left
        while len(self._calls) > self._most:
            self._calls.pop(next(iter(self._calls), None), None)

    def get(self, key: Hashable) -> Open | None:
        return self._calls.get(key)

    def pop(self, key: Hashable) -> Open | None:
        return self._calls.pop(key, None)
