"""Everything workers import, imported once before they are forked."""

from __future__ import annotations

from tests.faults.workers import (
    appending,
    asking,
    cramped,
    crashing,
    forking,
    pacing,
    poisoned,
    shifting,
    shipping,
    signalled,
    soaking,
)

__all__ = [
    "appending",
    "asking",
    "cramped",
    "crashing",
    "forking",
    "pacing",
    "poisoned",
    "shifting",
    "shipping",
    "signalled",
    "soaking",
]
