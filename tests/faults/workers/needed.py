"""Everything workers import, imported once before they are forked."""

from __future__ import annotations

from tests.faults.workers import appending, asking, cramped, forking, pacing, shipping, signalled

__all__ = ["appending", "asking", "cramped", "forking", "pacing", "shipping", "signalled"]
