"""How fast tokens come, where somebody wants to see them come."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Artificial latency; none by default.

    Attributes:
        tokens_per_s: output tokens a second; None is as fast as possible.
        first_token_s: seconds before the first token.
        sleep: waits for so many seconds.
    """

    tokens_per_s: float | None = None
    first_token_s: float = 0.0
    sleep: Callable[[float], None] = time.sleep

    def wait_for_first_token(self) -> None:
        """Waits as the model would before it begins."""
        if self.first_token_s:
            self.sleep(self.first_token_s)

    def wait_for_tokens(self, count: int) -> None:
        """Waits as the model would to produce ``count`` tokens."""
        if self.tokens_per_s is not None and count:
            self.sleep(count / self.tokens_per_s)

    def wait_for_answer(self, count: int) -> None:
        """Waits for a whole answer of ``count`` tokens; 0 is no answer of a model."""
        if count:
            self.wait_for_first_token()
            self.wait_for_tokens(count)
