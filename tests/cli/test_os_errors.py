"""What the operating system refuses ends in one line that says where, why and how to mend it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.cli.journals import JOURNAL
from tests.cli.running import tierlens
from tests.projection.works import work
from tierlens.cli.os_errors import sentence
from tierlens.journal import Journal

TRACE = f"{1:032x}"


@pytest.mark.parametrize(
    ("arguments", "locked"),
    [
        (("ship", "--once"), "shipper.lock"),
        (("journal", "drain"), "shipper.lock"),
        (("forget", "--trace", TRACE, "--yes"), "forget.lock"),
    ],
)
def test_a_journal_that_cannot_be_written_to_is_said_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], locked: str
) -> None:
    journal = Journal(tmp_path / JOURNAL, resource={})
    journal.append(*work(1, root=True))
    journal.close()
    # Root may write to what is read-only, and still not to a folder.
    (tmp_path / JOURNAL / locked).mkdir()

    ran = tierlens(tmp_path, *arguments, MLFLOW_TRACKING_URI="otlp+http://127.0.0.1:9")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"tierlens: {tmp_path / JOURNAL / locked}: Is a directory; see that it is there")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.EACCES, "let this user read and write there"),
        (errno.EROFS, "run this where it can be written to"),
        (errno.ENOSPC, "make room there"),
    ],
)
def test_a_refusal_is_told_with_what_mends_it(number: int, mend: str) -> None:
    told = sentence(OSError(number, os.strerror(number), "var/journal"))

    assert told.startswith(f"var/journal: {os.strerror(number)}; ")
    assert mend in told


def test_a_refusal_that_names_no_path_is_told_without() -> None:
    assert sentence(OSError("no route")).startswith("no route; see that")
