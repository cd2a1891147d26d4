"""The known name a misspelt one was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to ``name``, or None where nothing comes near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean sample?``, or the list of what there is where nothing comes near, if anything."""
    names = sorted(known)
    if not names:
        return ""
    close = nearest(name, names)
    return f"; did you mean {close}?" if close else f"; there are {', '.join(names)}"
