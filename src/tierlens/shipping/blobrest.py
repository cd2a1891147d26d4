"""Artifacts' bytes after their delivery: kept for a while, because an open span may refer to the same
content."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tierlens.journal.blobs import blob_path, identity, remove_untouched
from tierlens.journal.segment import BLOBS
from tierlens.sinks.base import Finish


class BlobRest:
    """Blobs that are no longer needed as far as is known, and since when."""

    def __init__(self, directory: Path, rest_s: float) -> None:
        self._directory, self._rest_s = directory, rest_s
        self._since: dict[str, tuple[float, tuple[int, int]]] = {}

    def delivered(self, finishes: Iterable[Finish], now: float) -> None:
        """The files of these finishes are where they belong."""
        for finish in finishes:
            for attached in finish.attached:
                self._mark(attached.artifact.sha256, now)

    def abandoned(self, now: float) -> None:
        """No writer is left that could refer to any blob."""
        with suppress(OSError):
            for path in (self._directory / BLOBS).iterdir():
                if path.name not in self._since:
                    self._mark(path.name, now)

    def sweep(self, now: float) -> None:
        """Remove what has rested long enough and was not stored again; only while nothing is to be sent."""
        for sha256, (since, seen) in list(self._since.items()):
            if now - since >= self._rest_s:
                del self._since[sha256]
                with suppress(OSError):
                    remove_untouched(self._directory, sha256, seen)

    def _mark(self, sha256: str, now: float) -> None:
        with suppress(OSError):
            self._since[sha256] = (now, identity(blob_path(self._directory, sha256)))
