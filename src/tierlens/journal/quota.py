"""How much of the disk a journal may take, shared by all processes that write to its directory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tierlens.journal.segment import BLOBS, CONFIGURATIONS, DEAD_LETTER, PAUSED

_SMALLEST_GRANT: Final = 65_536
_SHARE: Final = 8
_MEASURE_AGAIN_S: Final = 0.1


def usage(directory: Path) -> int:
    """Bytes of all files in the journal and its folders."""
    return _bound(directory) + sum(_bytes_in(directory / notes) for notes in (PAUSED, CONFIGURATIONS))


def _bound(directory: Path) -> int:
    """Bytes of what the quota is for: segments, blobs, dead letters.

    Notes of pauses are left out. They are small, but one a conversation for a month: to add them up takes 3 µs each,
    and this is asked on the agent's thread.
    """
    return sum(_bytes_in(path) for path in (directory, directory / BLOBS, directory / DEAD_LETTER))


def _bytes_in(directory: Path) -> int:
    try:
        with os.scandir(directory) as entries:
            return sum(_size(entry) for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size if entry.is_file(follow_symlinks=False) else 0
    except FileNotFoundError:
        return 0


def grant(free: int, wanted: int, segment_room: int) -> int:
    """How many bytes a writer may write before it must ask again; 0 if ``wanted`` does not fit.

    Only a share of what is free is granted, because other processes grant themselves the same space.
    """
    if wanted > free:
        return 0
    return max(wanted, min(segment_room, max(free // _SHARE, _SMALLEST_GRANT), free))


class Allowance:
    """One writer's view of the quota: measured for every grant, and for a refusal at most ten times a
    second."""

    def __init__(self, directory: Path, quota_bytes: int, monotonic: Callable[[], float]) -> None:
        self._directory, self._quota, self._monotonic = directory, quota_bytes, monotonic
        self._free = 0
        self._measured_at: float | None = None

    @property
    def used_share(self) -> float:
        """Share of the quota in use when last measured, this writer's grants included."""
        return 1 - self._free / self._quota if self._measured_at is not None else 0.0

    def take(self, wanted: int, segment_room: int) -> int:
        """Bytes granted, at least ``wanted``, or 0."""
        now = self._monotonic()
        fresh = self._measured_at is not None and now - self._measured_at < _MEASURE_AGAIN_S
        if fresh and wanted > self._free:
            return 0
        self._free, self._measured_at = self._quota - _bound(self._directory), now
        granted = grant(self._free, wanted, segment_room)
        self._free -= granted
        return granted

    def give_back(self, unused: int) -> None:
        """What was granted and not written."""
        self._free += unused
