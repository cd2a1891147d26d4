"""By which prices calls are delivered, as whoever ships is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tierlens import negotiated
from tierlens.errors import SettingsError
from tierlens.projection.prices import PriceBook

_EXPECTED: Final = "is for tierlens's own processes: leave it out, and write config/prices.yaml"


def prices_from(environ: Mapping[str, str]) -> PriceBook:
    """Those of ``negotiated.VARIABLE``, before the published ones.

    Raises:
        SettingsError: it was not written by tierlens.
    """
    text = environ.get(negotiated.VARIABLE, "")
    try:
        return PriceBook(negotiated.load(text))
    except (ValueError, TypeError) as e:
        raise SettingsError("environment", negotiated.VARIABLE, repr(text[:80]), _EXPECTED) from e
