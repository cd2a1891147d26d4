"""What follows from an answer: pure decisions, no waiting and no sending."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from tierlens.errors import DeliveryError, Forbidden, TooLarge, Unavailable

_FIRST_S: Final = 0.25
# What is recorded after an outage is to be through within 10 s.
_LONGEST_S: Final = 5.0
_LONGEST_WISH_S: Final = 3600.0
_TRIES_BEFORE_DOUBT: Final = 3


class Action(Enum):
    """What to do with a parcel that was not taken."""

    RETRY = auto()
    """Send it again, whole."""
    PAUSE = auto()
    """Send it again once a person has mended the cause, and say so."""
    HALVE = auto()
    """Send its halves."""
    DETACH = auto()
    """Send its spans first, and its metrics and files after them."""
    TRUNCATE = auto()
    """Send its one span with its longest values cut."""
    SET_ASIDE = auto()
    """Keep it beside the journal, and try again from there."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A parcel that was not taken.

    Attributes:
        spans: how many it holds; 0 where only metrics and files of a stored trace are sent.
        traces: how many they belong to.
        finishes: how many traces' metrics and files go with it.
        records: how many records of runs it holds instead.
        tries: how often it has been sent, this time included.
        others_pass: other parcels have been taken since it first was not.
        truncated: its values have been cut already.
    """

    spans: int
    traces: int = 1
    finishes: int = 0
    records: int = 0
    tries: int = 1
    others_pass: bool = False
    truncated: bool = False


def decide(error: DeliveryError, attempt: Attempt) -> Action:
    """The answer table.

    An outage is waited for, however long. But a parcel that fails again and again while others pass is itself
    the cause (MLflow answers 500 for a whole request when one trace in it was archived), so it is taken
    apart.
    """
    if isinstance(error, Forbidden):
        return Action.PAUSE
    if isinstance(error, Unavailable):
        if not attempt.others_pass or attempt.tries < _TRIES_BEFORE_DOUBT:
            return Action.RETRY
        return Action.HALVE if attempt.traces > 1 or attempt.records > 1 else Action.SET_ASIDE
    if isinstance(error, TooLarge) and attempt.spans == 1:
        return Action.SET_ASIDE if attempt.truncated else Action.TRUNCATE
    return _isolate(attempt)


def _isolate(attempt: Attempt) -> Action:
    if attempt.spans > 1 or attempt.records > 1:
        return Action.HALVE
    if attempt.spans == 1 and attempt.finishes:
        return Action.DETACH
    return Action.SET_ASIDE


def next_delay(failures: int, rng: random.Random, wish_s: float | None = None) -> float:
    """Seconds until the next try after so many failures in a row (1 is the first).

    Doubles from 0.25 s to 5 s, of which half is chance. The server's own wish is honoured to at most a fifth
    more, and to at most an hour. One for less than a quarter of a second is none: a date that is past by our clock,
    say, would have us ask again without pause.
    """
    if wish_s is not None and wish_s >= _FIRST_S:
        return min(wish_s, _LONGEST_WISH_S) * rng.uniform(1.0, 1.15)
    longest = min(_LONGEST_S, _FIRST_S * 2.0 ** min(failures - 1, 16))
    return longest * rng.uniform(0.5, 1.0)
