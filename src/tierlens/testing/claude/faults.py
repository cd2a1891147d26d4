"""Failures by script: what goes wrong with which request, decided before it is sent."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request for a message.

    Attributes:
        status: the answer's status, 400 to 599; 0 breaks the connection without a word.
        retry_after_s: seconds the answer asks the client to wait; None leaves it to the client. For 0 the
            answer says one millisecond: Anthropic's client takes 0 for "not said" and waits half a second.
        after_events: lets a stream begin and fail after so many events, by an ``error`` event or, for
            status 0, a broken connection. An answer that is not streamed fails at once.
        message: the error's text; "" takes Anthropic's usual one.
    """

    status: int
    retry_after_s: float | None = None
    after_events: int | None = None
    message: str = ""

    def __post_init__(self) -> None:
        if self.status != 0 and not 400 <= self.status <= 599:
            raise ValueError(f"status: {self.status} is neither 0 nor between 400 and 599")


class Faults:
    """Hands each request its fault, or None. The schedule goes before what was asked for next."""

    def __init__(self, schedule: Mapping[int, Fault]) -> None:
        self._schedule = dict(schedule)
        self._next: deque[Fault] = deque()
        self._seen = 0
        self._lock = threading.Lock()

    def add(self, fault: Fault, times: int) -> None:
        """The next ``times`` requests without a fault of their own get ``fault``."""
        with self._lock:
            self._next.extend([fault] * times)

    def take(self) -> Fault | None:
        """The fault of the request that has just come; requests are numbered from 1."""
        with self._lock:
            self._seen += 1
            scheduled = self._schedule.get(self._seen)
            if scheduled is not None:
                return scheduled
            return self._next.popleft() if self._next else None
