"""Which parcel is sent next, and when: one request at a time, and a pause for all after an outage's
answer."""

from __future__ import annotations

import random
import sys
from collections import deque
from typing import Final

from tierlens.errors import DeliveryError
from tierlens.shipping.entry import Destination, Gathering
from tierlens.shipping.limits import Limits
from tierlens.shipping.parcel import Parcel
from tierlens.shipping.retry import next_delay

_SMALLEST_REQUEST: Final = 65_536
# What is written while a request is under way waits for its answer, and is to be through in ten of these.
_ANSWERED_WITHIN_S: Final = 1.0
_FEWEST_TRACES: Final = 10
_FIRST_TRACES: Final = 20


class Outbox:
    """Parcels that came back, in the order in which they are tried again.

    Attributes:
        passes: parcels taken so far.
        failures: answers of an outage since the last parcel that was taken.
        request_bytes: how large a request may be, as far as the sink has shown.
        request_traces: how many traces it may hold to be answered within a second, as far as the sink has shown.
    """

    def __init__(self, limits: Limits, rng: random.Random) -> None:
        self._limits, self._rng = limits, rng
        self._returned: deque[Parcel] = deque()
        self._closed_until = float("-inf")
        self._paused: dict[str, float] = {}
        self._refusal: DeliveryError | None = None
        self.request_bytes = limits.bytes_per_request
        self.request_traces = min(_FIRST_TRACES, limits.traces_per_request)
        self.passes = 0
        self.failures = 0

    @property
    def memory(self) -> int:
        """Bytes that all parcels take that came back."""
        return sum(group.memory for parcel in self._returned for group in parcel.groups)

    def __bool__(self) -> bool:
        return bool(self._returned)

    def next_destination(self, gathering: Gathering, now: float) -> Destination | None:
        """Where the oldest ready trace goes that may be sent now."""
        if now < self._closed_until:
            return None
        candidates = [
            (group.since, destination)
            for destination, group, _ in gathering.ready()
            if not self._rests(destination.experiment, now)
        ]
        return min(candidates, key=lambda candidate: candidate[0])[1] if candidates else None

    def has_enough(self, gathering: Gathering, now: float) -> bool:
        """Whether some destination that does not rest has as many ready traces as a request may hold."""
        return any(
            count >= self.request_traces and not self._rests(destination.experiment, now)
            for destination, _, count in gathering.ready()
        )

    def next_returned(self, now: float) -> Parcel | None:
        """The parcel that has waited longest for another try, if one may be made now."""
        if now < self._closed_until:
            return None
        for parcel in self._returned:
            if not self._rests(parcel.destination.experiment, now):
                self._returned.remove(parcel)
                return parcel
        return None

    def passed(self, traces: int, took_s: float) -> None:
        """A parcel with so many traces was taken, after so many seconds."""
        if traces:
            soon = int(traces * _ANSWERED_WITHIN_S / took_s) if took_s > 0 else sys.maxsize
            self.request_traces = min(max(soon, _FEWEST_TRACES), self._limits.traces_per_request)
        self.passes += 1
        self.failures = 0
        self._closed_until = float("-inf")

    def put(self, parcel: Parcel) -> None:
        """Try this again after all others."""
        self._returned.append(parcel)

    def put_first(self, parcels: list[Parcel]) -> None:
        """Try these before all others, in this order."""
        self._returned.extendleft(reversed(parcels))

    def back_off(self, parcel: Parcel, now: float, wish_s: float | None) -> float:
        """An outage: nothing is sent for a while, and then something else first; returns for how long."""
        self.failures += 1
        delay = next_delay(self.failures, self._rng, wish_s)
        self._closed_until = now + delay
        self.put(parcel)
        return delay

    def pause(self, parcel: Parcel, now: float, refusal: DeliveryError) -> None:
        """Nothing for this experiment for a while."""
        self._refusal = refusal
        self._paused[parcel.destination.experiment] = now + self._limits.pause_s
        self.put(parcel)

    def shrink(self, refused_bytes: int) -> None:
        """A request of this size was too large, so larger ones need not be tried."""
        self.request_bytes = max(min(self.request_bytes, refused_bytes // 2), _SMALLEST_REQUEST)

    def next_at(self, now: float) -> float | None:
        """Monotonic time from which on something that must wait now may be sent; None if nothing waits."""
        times = [at for at in (self._closed_until, *self._paused.values()) if at > now]
        return min(times, default=None)

    def refusal(self, now: float) -> DeliveryError | None:
        """The latest refusal, where nothing but experiments that rest is waited for."""
        rests = any(at > now for at in self._paused.values())
        return self._refusal if rests and now >= self._closed_until else None

    def _rests(self, experiment: str, now: float) -> bool:
        return self._paused.get(experiment, now) > now
