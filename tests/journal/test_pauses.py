"""What is remembered of graphs that wait for a person, and for how long."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.journal.processes import eventually
from tierlens.journal.pauses import KEPT_S, KEPT_WITH_SECRETS_S, Pause, Pauses
from tierlens.lens import Lens
from tierlens.policy import Policies
from tierlens.settings import Settings

PLAIN = Pause("ab" * 16, "cd" * 8, 1)
SECRET = Pause("ab" * 16, "cd" * 8, 1, ("digest",))


@pytest.fixture
def pauses(tmp_path: Path) -> Pauses:
    found = Pauses(tmp_path / "paused")
    found.remember("plain", "c", PLAIN)
    found.remember("secret", "c", SECRET)
    return found


def test_a_pause_is_swept_once_it_is_old(pauses: Pauses) -> None:
    pauses.sweep(time.time() + KEPT_S - 60)
    assert pauses.recall("plain", "c") is not None
    pauses.sweep(time.time() + KEPT_S + 60)
    assert pauses.recall("plain", "c") is None


def test_a_pause_that_keeps_text_private_is_kept_for_longer(pauses: Pauses) -> None:
    pauses.sweep(time.time() + KEPT_WITH_SECRETS_S - 60)
    assert pauses.recall("secret", "c") is not None
    pauses.sweep(time.time() + KEPT_WITH_SECRETS_S + 60)
    assert pauses.recall("secret", "c") is None


def test_what_is_no_pause_is_swept_with_them(pauses: Pauses, tmp_path: Path) -> None:
    for name in ("half-written.4711", "damaged.json"):
        (tmp_path / "paused" / name).write_text("[]")
    pauses.sweep(time.time() + KEPT_S + 60)
    assert len(list((tmp_path / "paused").iterdir())) == 1


def test_a_folder_that_is_not_there_has_nothing_to_sweep(tmp_path: Path) -> None:
    Pauses(tmp_path / "none").sweep()
    assert not (tmp_path / "none").exists()


def test_a_lens_sweeps_when_it_starts(pauses: Pauses, tmp_path: Path) -> None:
    then = time.time() - KEPT_S - 60
    for file in (tmp_path / "paused").iterdir():
        os.utime(file, (then, then))
    lens = Lens(Settings(journal_dir=tmp_path, shipper="external"), Policies())
    eventually(lambda: pauses.recall("plain", "c") is None)
    lens.close()
    assert pauses.recall("secret", "c") is not None
