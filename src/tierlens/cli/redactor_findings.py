"""What ``tierlens doctor`` finds of the function that text passes through before it leaves the host."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from tierlens.cli.finding import Finding
from tierlens.errors import Forbidden
from tierlens.settings import Settings
from tierlens.sinks.rewriting import DROPPED, SETTING, FailingClosed, redactor_named

_SAMPLE: Final = "Why did new starts fall in Q3? Dr. Jane Miller (jane.miller@example.org, +41 44 668 18 00) asked."


def redactor_findings(loaded: Settings) -> Iterator[Finding]:
    """Whether there is such a function, and what it makes of a sentence."""
    name = loaded.ship_redactor
    if not name:
        return
    try:
        redact = redactor_named(name)
    except Forbidden as error:
        yield Finding("redactor", "fail", str(error), f"mend that, or unset {SETTING}; nothing is lost meanwhile")
        return
    began = time.perf_counter()
    found = FailingClosed(lambda: redact)(_SAMPLE)
    took = f"{(time.perf_counter() - began) * 1e3:.1f} ms"
    if found == DROPPED:
        mend = "mend the function: every text it fails on is stored as that"
        yield Finding("redactor", "fail", f"{name} fails on a sentence, which becomes {DROPPED}", mend)
    elif found == _SAMPLE:
        mend = "see whether it knows what your texts hold"
        yield Finding("redactor", "warn", f"{name} leaves a name, an address and a number as they are, in {took}", mend)
    else:
        yield Finding("redactor", "ok", f"{name}: {found!r}, in {took}")
