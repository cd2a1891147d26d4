"""Grants fit, are shared, and never starve a writer that there is room for."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tierlens.journal.quota import Allowance, grant, usage

sizes = st.integers(0, 1 << 40)


@given(free=st.integers(-(1 << 40), 1 << 40), wanted=st.integers(1, 1 << 40), segment_room=sizes)
def test_a_grant_is_enough_and_fits_or_is_nothing(free: int, wanted: int, segment_room: int) -> None:
    granted = grant(free, wanted, segment_room)

    assert (granted == 0) == (wanted > free)
    assert granted == 0 or wanted <= granted <= free
    assert granted <= max(wanted, segment_room)


def test_usage_counts_all_folders(tmp_path: Path) -> None:
    for folder in ("blobs", "dead-letter", "paused", "configurations"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_bytes(bytes(100))
    (tmp_path / "segment").write_bytes(bytes(100))

    assert usage(tmp_path) == 500
    assert usage(tmp_path / "missing") == 0


def test_notes_of_pauses_keep_no_span_out(tmp_path: Path) -> None:
    (tmp_path / "paused").mkdir()
    (tmp_path / "paused" / "note.json").write_bytes(bytes(1_000))

    assert Allowance(tmp_path, 1_000, lambda: 0.0).take(1_000, 100) == 1_000


def test_a_refusal_is_not_measured_again_at_once(tmp_path: Path) -> None:
    now = [0.0]
    allowance = Allowance(tmp_path, 1_000, lambda: now[0])
    (tmp_path / "other").write_bytes(bytes(950))

    assert allowance.take(100, 100) == 0
    (tmp_path / "other").unlink()
    assert allowance.take(100, 100) == 0
    now[0] += 0.2
    assert allowance.take(100, 100) == 100


def test_every_grant_sees_what_others_have_written(tmp_path: Path) -> None:
    allowance = Allowance(tmp_path, 1_000_000, lambda: 0.0)
    assert allowance.take(100, 1 << 20)

    (tmp_path / "other").write_bytes(bytes(1_000_000))

    assert allowance.take(100, 1 << 20) == 0
