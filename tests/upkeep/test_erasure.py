"""Erasing while others write and ship: what was under way is waited for, and what comes meanwhile goes too."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journal.spans import ROOT, START_NS, span
from tierlens.errors import JournalError
from tierlens.journal import Journal
from tierlens.journal.blobs import blob_path
from tierlens.journal.erasing import segments
from tierlens.journal.forgotten import Forgotten, Subject
from tierlens.journal.lock import FileLock
from tierlens.journal.segment import SHIPPER_LOCK
from tierlens.shipping.handover import ShipperState, put_state
from tierlens.shipping.health import Health
from tierlens.spans import Artifact
from tierlens.testing.sinks import MemorySink
from tierlens.upkeep.besides import Besides
from tierlens.upkeep.drain import drain
from tierlens.upkeep.erasure import Erasure

ANNA = Subject("user", "anna")
GONE = f"{7:032x}"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal", resource={})
    yield journal
    journal.close()


@pytest.fixture
def shipping(journal: Journal) -> Iterator[Callable[[Health], None]]:
    """Says how somebody is doing who ships from the journal."""
    append(journal, 1)
    lock = FileLock(journal.directory / SHIPPER_LOCK)
    assert lock.acquire()
    yield lambda health: put_state(journal.directory, ShipperState(os.getpid(), "", health))
    lock.release()


def append(journal: Journal, number: int) -> None:
    made = span(number, trace=7)._replace(attributes={"user.id": "anna"} if number == 1 else {})
    journal.append(made, ROOT)


def test_a_request_under_way_is_waited_for_and_what_came_meanwhile_goes_too(
    journal: Journal, shipping: Callable[[Health], None]
) -> None:
    shipping(Health(asked_at=1.0))
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        append(journal, 1 + len(slept))
        if len(slept) == 3:
            shipping(Health(answered_at=2.0))

    done = Erasure(journal.directory, None, [ANNA], sleep=sleep).erase()

    assert len(slept) == 3
    assert done.lines == 4
    assert done.whole
    assert GONE.encode() not in b"".join(path.read_bytes() for path in segments(journal.directory))


def test_a_request_that_is_never_answered_is_said_to_be_under_way(
    journal: Journal, shipping: Callable[[Health], None]
) -> None:
    shipping(Health(asked_at=1.0))

    done = Erasure(journal.directory, None, [ANNA], settle_s=0.5, sleep=lambda seconds: None).erase()

    assert done.waiting
    assert not done.whole
    assert (journal.directory / "forget.left").exists()


def test_an_interrupted_run_is_finished_by_the_next_whomever_that_is_about(journal: Journal) -> None:
    append(journal, 1)
    append(journal, 2)

    def killed(doing: str, done: int, of: int) -> None:
        if doing == "Going through the journal":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Erasure(journal.directory, None, [ANNA], tell=killed).erase()

    assert Erasure(journal.directory, None, [Subject("user", "bert")]).erase().lines == 2


def test_what_a_user_begins_after_the_erasure_began_stays(journal: Journal) -> None:
    append(journal, 1)
    began = iter([START_NS + 10])

    Erasure(journal.directory, None, [ANNA], time_ns=lambda: next(began)).erase()

    forgotten = Forgotten(journal.directory)
    assert forgotten
    assert forgotten.covers(ANNA, START_NS)
    assert not forgotten.covers(ANNA, START_NS + 10)


def test_two_cannot_erase_at_once(journal: Journal) -> None:
    append(journal, 1)
    lock = FileLock(journal.directory / "forget.lock")
    assert lock.acquire()

    with pytest.raises(JournalError, match="somebody else erases"):
        Erasure(journal.directory, None, [ANNA]).erase()
    lock.release()


def test_an_artifact_that_somebody_stored_again_meanwhile_is_kept(journal: Journal) -> None:
    besides = Besides(journal.directory)
    sha256 = journal.store_blob(b"common")
    seen = besides.blob_identities()
    os.utime(blob_path(journal.directory, sha256), ns=(1, 1))

    assert not besides.remove_blob(sha256, seen[sha256], write=True)
    assert blob_path(journal.directory, sha256).exists()


def test_artifacts_that_rest_after_their_delivery_go_too_unless_they_are_others_as_well(journal: Journal) -> None:
    hers, common, again = (journal.store_blob(content) for content in (b"hers", b"common", b"stored again"))
    for number, files in ((7, (hers, common, again)), (8, (common,))):
        artifacts = tuple(Artifact(f"{sha256}.txt", sha256, 4, "text/plain") for sha256 in files)
        journal.append(span(number, trace=number), ROOT._replace(artifacts=artifacts))
    journal.close()
    assert drain(journal.directory, MemorySink).drained
    assert not list(segments(journal.directory))
    os.utime(blob_path(journal.directory, again), ns=(1, 1))

    looked = Erasure(journal.directory, None, [Subject("trace", GONE)]).look()
    found = Erasure(journal.directory, None, [Subject("trace", GONE)]).erase()

    assert looked.files == found.files == 1
    assert [blob_path(journal.directory, one).exists() for one in (hers, common, again)] == [False, True, True]
