"""How delivery is doing, and whether an exit should wait for it."""

from __future__ import annotations

from dataclasses import dataclass

_KNOWN_GOOD = 4


@dataclass(frozen=True, slots=True)
class Health:
    """What the sink last said.

    Attributes:
        failing: its last answer was an outage's, or refused credentials.
        answered_at: monotonic time of its last answer of any kind, or None.
        asked_at: monotonic time of the request that is under way, or None.
        ever_took: it has taken something.
    """

    failing: bool = False
    answered_at: float | None = None
    asked_at: float | None = None
    ever_took: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How whoever ships for this process is doing: whether there is anybody, and what the sink last said."""

    ships: bool
    health: Health | None


def hopeless(standing: Standing, began: float, now: float, silence_s: float) -> bool:
    """Whether an exit that began to wait at ``began`` should wait no longer.

    Args:
        silence_s: how long a request may stay unanswered; four times as long if the sink has taken something.
    """
    if not standing.ships:
        return True
    health = standing.health
    if health is None:
        return now - began > silence_s * _KNOWN_GOOD
    if health.failing:
        return True
    allowed = silence_s * _KNOWN_GOOD if health.ever_took else silence_s
    return health.asked_at is not None and now - max(health.asked_at, began) > allowed
