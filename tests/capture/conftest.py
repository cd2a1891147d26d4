from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tierlens import keys
from tierlens.capture import active
from tierlens.capture.callback import MlflowCallbackHandler
from tierlens.capture.recorder import Recorder
from tierlens.capture.shield import Shield
from tierlens.capture.trace import Context
from tierlens.journal.pauses import Pauses
from tierlens.policy import Policies
from tierlens.spans import Span
from tierlens.state import Part, whole
from tierlens.testing.memory_journal import MemoryJournal


class Capture:
    """A recorder over a journal in memory, with a callback for it."""

    def __init__(self, folder: Path, policies: Policies | None = None) -> None:
        self.folder = folder
        self.journal = MemoryJournal()
        self.recorder = Recorder(self.journal, policies or Policies(), Shield(strict=True))
        self.pauses = Pauses(folder / "paused")

    def callback(self, **context: Any) -> MlflowCallbackHandler:
        return MlflowCallbackHandler(self.recorder, Context(**context), self.pauses)

    def config(self, **context: Any) -> Any:
        return {"callbacks": [self.callback(**context)]}

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Of the only span of that name."""
        return self.journal.named(name).attributes

    def outcomes(self, name: str) -> list[str]:
        """Of all spans of that name, in order of their start."""
        spans = sorted(self.journal.spans.values(), key=lambda span: span.start_ns)
        return [str(span.attributes.get(keys.OUTCOME, "ok")) for span in spans if span.name == name]

    def parent(self, name: str) -> str | None:
        """Name of the parent of the only span of that name."""
        above = self.journal.named(name).parent_id
        return self.journal.spans[above].name if above else None

    def whole(self, span: Span, part: Part = "inputs") -> Any:
        """A span's inputs or outputs as its reader sees them."""
        stored = {
            one.span_id: {"inputs": one.attributes.get(keys.INPUTS), "outputs": one.attributes.get(keys.OUTPUTS)}
            for one in self.journal.spans.values()
        }
        return whole(stored, span.span_id, part)


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    made = Capture(tmp_path)
    active.activate(made.recorder)
    yield made
    active.activate(None)
    assert made.recorder.open == {}, "spans were left open"


@pytest.fixture
def capture_with(tmp_path: Path) -> Iterator[Any]:
    made: list[Capture] = []

    def make(policies: Policies) -> Capture:
        made.append(Capture(tmp_path, policies))
        active.activate(made[-1].recorder)
        return made[-1]

    yield make
    active.activate(None)
    assert [one.recorder.open for one in made] == [{} for _ in made], "spans were left open"
