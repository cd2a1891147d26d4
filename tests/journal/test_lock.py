"""A lock says whether its process lives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tierlens.journal.lock import FileLock, is_orphan


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.lock"


def test_a_held_lock_cannot_be_taken_even_by_its_own_process(path: Path) -> None:
    mine, other = FileLock(path), FileLock(path)

    assert mine.acquire()
    assert not other.acquire()
    assert not is_orphan(path)


def test_a_released_lock_is_an_orphans(path: Path) -> None:
    lock = FileLock(path)
    lock.acquire()
    lock.release()

    assert is_orphan(path)
    assert FileLock(path).acquire()


def test_a_missing_lock_is_an_orphans(path: Path) -> None:
    assert is_orphan(path)


def test_a_lock_whose_file_was_taken_away_meanwhile_is_not_held(path: Path) -> None:
    lock = FileLock(path)
    lock.acquire()
    path.unlink()
    other = FileLock(path)

    assert other.acquire()
    lock.release(unlink=False)
    assert not is_orphan(path)


def test_a_lock_is_lost_with_the_name_of_its_file(path: Path) -> None:
    lock = FileLock(path)
    assert not lock.lost
    lock.acquire()
    assert not lock.lost
    path.rename(path.with_name("moved"))

    assert lock.lost
    assert FileLock(path).acquire()
    assert lock.lost


def test_a_child_that_drops_the_lock_leaves_it_to_its_parent(path: Path) -> None:
    lock = FileLock(path)
    lock.acquire()
    child = os.fork()
    if child == 0:
        lock.drop()
        os._exit(1 if is_orphan(path) else 0)

    _, status = os.waitpid(child, 0)

    assert status == 0
    assert not is_orphan(path)


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError):
        FileLock(path).acquire()
