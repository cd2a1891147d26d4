"""kill -9, forks and full disks: accepted means kept."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journal.processes import eventually, start
from tests.journal.reading import numbers, read
from tests.journal.spans import ROUTING, filled, is_whole
from tierlens.errors import JournalRefused
from tierlens.journal import Journal
from tierlens.journal.lock import is_orphan
from tierlens.journal.segment import lock_path, writers

Say = Callable[[int], None]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def append_for_ever(directory: Path, first: int, size: int) -> Callable[[Say], None]:
    def work(say: Say) -> None:
        journal = Journal(directory, resource={}, segment_bytes=1 << 20, quota_bytes=1 << 40)
        number = first
        while True:
            journal.append(filled(number, size), ROUTING)
            say(number)
            number += 1

    return work


@pytest.mark.parametrize(("size", "kills"), [(2_000, 24), (64 << 10, 12), (1 << 20, 8)])
def test_kill_9_loses_nothing_that_was_accepted(directory: Path, size: int, kills: int) -> None:
    chance = random.Random(size)
    accepted: list[int] = []
    for kill in range(kills // 4):
        workers = [start(append_for_ever(directory, (kill * 4 + n) * 10_000_000, size)) for n in range(4)]
        for worker in workers:
            worker.hear(chance.randrange(1, max(2, 400_000 // size)))
            accepted += worker.kill()

    found, damaged = read(directory)

    assert set(accepted) <= {int(line.span, 16) for line in found}
    assert damaged <= kills
    assert all(is_orphan(lock_path(directory, writer.name)) for writer in writers(directory))


def test_forked_children_write_segments_of_their_own(directory: Path) -> None:
    journal = Journal(directory, resource={})
    stop = threading.Event()
    parents: list[int] = []

    def keep_appending() -> None:
        number = 10_000_000
        while not stop.is_set():
            journal.append(filled(number, 500), ROUTING)
            parents.append(number)
            number += 1

    def work(say: Say) -> None:
        base = os.getpid() * 1_000
        for number in range(base, base + 100):
            journal.append(filled(number, 500), ROUTING)
            say(number)
        assert journal.counts().accepted == 100

    thread = threading.Thread(target=keep_appending)
    thread.start()
    children = [start(work) for _ in range(8)]
    accepted = [number for child in children for number in child.wait()]
    stop.set()
    thread.join()

    assert len(accepted) == 800
    assert numbers(directory) == sorted(accepted + parents)
    assert len(writers(directory)) == 9
    assert [is_orphan(lock_path(directory, w.name)) for w in writers(directory)].count(False) == 1
    journal.close()


def test_a_parents_death_shows_although_its_child_lives(directory: Path) -> None:
    def parent(say: Say) -> None:
        journal = Journal(directory, resource={})
        journal.append(filled(1, 100), ROUTING)
        child = os.fork()
        if child == 0:
            # The child keeps its copy of every descriptor until it is killed.
            threading.Event().wait(60)
            os._exit(0)
        say(child)
        threading.Event().wait(60)

    worker = start(parent)
    worker.hear(1)
    (child,) = worker.accepted()
    os.kill(worker.pid, 9)
    os.waitpid(worker.pid, 0)

    (writer,) = writers(directory)
    try:
        eventually(lambda: is_orphan(lock_path(directory, writer.name)))
    finally:
        os.kill(child, 9)
        os.close(worker.pipe)


def test_a_child_that_exits_without_cleaning_up_loses_nothing(directory: Path) -> None:
    def one_task(number: int) -> Callable[[Say], None]:
        def work(say: Say) -> None:
            journal.append(filled(number, 100), ROUTING)
            say(number)

        return work

    journal = Journal(directory, resource={})
    accepted = [number for task in range(40) for number in start(one_task(task)).wait()]

    assert numbers(directory) == accepted == list(range(40))
    journal.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
def test_a_full_disk_refuses_and_takes_again_once_there_is_room(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()

    def work(say: Say) -> None:
        mounted(mount, "size=1m")
        journal = Journal(mount / "journal", resource={}, segment_bytes=100_000)
        (mount / "ballast").write_bytes(bytes(300_000))
        accepted, reasons = append_all(journal, range(3_000))
        assert reasons == {"full"}
        (mount / "ballast").unlink()
        later, _ = append_all(journal, range(3_000, 3_050))
        assert later == list(range(3_000, 3_050))
        assert sum(journal.counts().refused.values()) == 3_000 - len(accepted)
        journal.close()
        found, _ = read(mount / "journal")
        spans = [int(line.span, 16) for line in found if line.kind == "span"]
        assert spans == accepted + later
        told = sum(sum(line.refused.values()) for line in found if line.refused)
        assert told == 3_000 - len(accepted)
        say(1)

    assert start(work).wait() == [1]


def append_all(journal: Journal, wanted: range) -> tuple[list[int], set[str]]:
    accepted, reasons = [], set()
    for number in wanted:
        try:
            journal.append(filled(number, 1_000), ROUTING)
            accepted.append(number)
        except JournalRefused as refusal:
            reasons.add(refusal.reason)
    return accepted, reasons


def mounted(mount: Path, options: str) -> None:
    """Mount a tmpfs that only this process sees."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    new_namespace, private = 0x00020000, (1 << 18) | 16384
    assert libc.unshare(new_namespace) == 0
    assert libc.mount(b"none", b"/", None, private, None) == 0
    assert libc.mount(b"tmpfs", bytes(mount), b"tmpfs", 0, options.encode()) == 0


def test_whole_spans_come_back_whole(directory: Path) -> None:
    journal = Journal(directory, resource={}, segment_bytes=50_000)
    for number in range(50):
        journal.append(filled(number, 5_000), ROUTING)
    journal.close()

    found, damaged = read(directory)

    assert damaged == 0
    assert all(is_whole(line.payload.split(b'"stringValue":"')[1].split(b'"')[0].decode()) for line in found)
