"""Everything workers import, imported once before they are forked."""

from __future__ import annotations

from tests.faults.workers import appending, asking, forking

__all__ = ["appending", "asking", "forking"]
