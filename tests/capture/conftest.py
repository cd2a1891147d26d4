from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tierlens.capture import active
from tierlens.capture.callback import MlflowCallbackHandler
from tierlens.capture.pauses import Pauses
from tierlens.capture.recorder import Recorder
from tierlens.capture.shield import Shield
from tierlens.capture.trace import Context
from tierlens.policy import Policies
from tierlens.testing.memory_journal import MemoryJournal


class Capture:
    """A recorder over a journal in memory, with a callback for it."""

    def __init__(self, folder: Path, policies: Policies | None = None) -> None:
        self.journal = MemoryJournal()
        self.recorder = Recorder(self.journal, policies or Policies(), Shield(strict=True))
        self.pauses = Pauses(folder / "paused")

    def callback(self, **context: Any) -> MlflowCallbackHandler:
        return MlflowCallbackHandler(self.recorder, Context(**context), self.pauses)


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    made = Capture(tmp_path)
    active.activate(made.recorder)
    yield made
    active.activate(None)
    assert made.recorder.open == {}, "spans were left open"


@pytest.fixture
def capture_with(tmp_path: Path) -> Iterator[Any]:
    def make(policies: Policies) -> Capture:
        made = Capture(tmp_path, policies)
        active.activate(made.recorder)
        return made

    yield make
    active.activate(None)
