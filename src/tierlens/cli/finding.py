"""What one check of ``tierlens doctor`` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the diagnosis.

    Attributes:
        subject: what was looked at.
        status: ``fail`` keeps traces from being stored, ``warn`` may.
        found: what is so.
        mend: what to do about it; "" where nothing is to be done.
    """

    subject: str
    status: Literal["ok", "warn", "fail"]
    found: str
    mend: str = ""
