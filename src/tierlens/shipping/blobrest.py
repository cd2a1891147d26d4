"""Artifacts' bytes after their delivery: kept for a while, because an open span may refer to the same
content."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tierlens.journal.blobs import blob_path, identity, remove_untouched
from tierlens.journal.resting import Resting, keep, note, resting
from tierlens.journal.segment import BLOBS
from tierlens.sinks.base import Finish


class BlobRest:
    """Blobs that are no longer needed as far as is known, and since when; those that rested when this began, since
    then."""

    def __init__(self, directory: Path, rest_s: float) -> None:
        self._directory, self._rest_s = directory, rest_s
        self._known: dict[str, Resting] = resting(directory)
        self._since: dict[str, float] = {}

    def delivered(self, finishes: Iterable[Finish], now: float) -> None:
        """The files of these finishes are where they belong."""
        marked: dict[str, Resting] = {}
        for finish in finishes:
            for attached in finish.attached:
                sha256 = attached.artifact.sha256
                self._mark(sha256, now, finish.trace_id)
                if sha256 in self._known:
                    marked[sha256] = self._known[sha256]
        if marked:
            # Not to have written it costs an erasure the hour that they rest.
            with suppress(OSError):
                note(self._directory, marked)

    def abandoned(self, now: float) -> None:
        """No writer is left that could refer to any blob."""
        with suppress(OSError):
            for path in (self._directory / BLOBS).iterdir():
                if path.name not in self._known:
                    self._mark(path.name, now)

    def sweep(self, now: float) -> None:
        """Remove what has rested long enough and was not stored again; only while nothing is to be sent."""
        rested = [sha256 for sha256 in self._known if now - self._since.setdefault(sha256, now) >= self._rest_s]
        for sha256 in rested:
            seen = self._known.pop(sha256).seen
            del self._since[sha256]
            with suppress(OSError):
                remove_untouched(self._directory, sha256, seen)
        if rested:
            with suppress(OSError):
                keep(self._directory, self._known)

    def _mark(self, sha256: str, now: float, *traces: str) -> None:
        with suppress(OSError):
            before = self._known.get(sha256)
            whose = frozenset(traces) | (before.traces if before is not None else frozenset())
            self._known[sha256] = Resting(identity(blob_path(self._directory, sha256)), whose)
            self._since[sha256] = now
