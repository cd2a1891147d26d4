"""Files and folders of a journal."""

from __future__ import annotations

import stat
from pathlib import Path

from tierlens.journal.segment import write_whole


def test_whatever_is_written_first_the_journal_is_for_its_owner_only(tmp_path: Path) -> None:
    write_whole(tmp_path / "var" / "journal" / "configurations" / "one.json", b"{}")

    made = [tmp_path / "var", tmp_path / "var" / "journal", tmp_path / "var" / "journal" / "configurations"]
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in made] == [0o700] * 3
