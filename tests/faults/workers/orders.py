"""What a worker is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.faults.receipts import Receipts


@dataclass(frozen=True, slots=True)
class Orders:
    """Where to append, where to say so, and whom for.

    Attributes:
        pipe: of the parent's ledger.
        uri: the server, for workers that ship.
    """

    pipe: Path
    journal: Path
    experiment: str
    uri: str

    def receipts(self) -> Receipts:
        return Receipts(self.pipe)
