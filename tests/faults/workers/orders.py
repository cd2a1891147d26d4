"""What a worker is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

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

    def as_json(self) -> str:
        """For processes that are not forked by the nursery."""
        return orjson.dumps(asdict(self), default=str).decode()

    @classmethod
    def from_json(cls, text: str) -> Orders:
        told = orjson.loads(text)
        return cls(Path(told["pipe"]), Path(told["journal"]), told["experiment"], told["uri"])
