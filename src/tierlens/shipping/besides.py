"""What lies beside a journal's segments of traces that are erased: dead letters, artifacts, notes of pauses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from tierlens.journal.blobs import blob_path, identity, remove_untouched
from tierlens.journal.forgotten import Subject, subjects_of
from tierlens.journal.segment import BLOBS, DEAD_LETTER
from tierlens.shipping.deadletter import DeadLetters

PAUSED: Final = "paused"
_IDS: Final = 32


class Besides:
    """The folders beside a journal's segments; every method may raise OSError."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._letters = DeadLetters(directory)

    def traces_of(self, wanted: Callable[[Subject], bool]) -> set[str]:
        """Traces of which a dead letter names a session or user that is wanted."""
        lines = (line for _, _, line in self._letters.all())
        return {line.trace for line in lines if any(wanted(subject) for subject, _ in subjects_of(line))}

    def letters(self, gone: Callable[[str], bool]) -> list[Path]:
        """Their dead letters, the damaged and the half-written ones too: each is named after its trace."""
        return [path for path in self._in(DEAD_LETTER) if gone(path.name[:_IDS])]

    def blobs_of_letters(self, gone: Callable[[str], bool]) -> tuple[set[str], set[str]]:
        """The artifacts that their dead letters refer to, and those that others do."""
        theirs, others = set[str](), set[str]()
        for _, _, line in self._letters.all():
            (theirs if gone(line.trace) else others).update(artifact.sha256 for artifact in line.artifacts)
        return theirs, others

    def blob_identities(self) -> dict[str, tuple[int, int]]:
        """What each artifact is at this moment, so that one stored again later is told from it."""
        found = {}
        for path in self._in(BLOBS):
            with suppress(FileNotFoundError):
                found[path.name] = identity(path)
        return found

    def remove_blob(self, sha256: str, seen: tuple[int, int], *, write: bool) -> bool:
        """Whether it was, or would be, removed."""
        if not write:
            return blob_path(self._directory, sha256).is_file()
        return remove_untouched(self._directory, sha256, seen)

    def pauses(self, gone: Callable[[str], bool], *, write: bool) -> int:
        """Take their notes of pauses away, or, where a note keeps something private, the ids out of it: whoever
        resumes there must know what that was, else it would be let through."""
        found = 0
        for path in self._in(PAUSED):
            with suppress(OSError, ValueError, KeyError, TypeError):
                pause = orjson.loads(path.read_bytes())
                if gone(pause["trace_id"]):
                    found += 1
                    if write:
                        _remove_pause(path, pause)
        return found

    def _in(self, folder: str) -> Iterator[Path]:
        with suppress(FileNotFoundError, NotADirectoryError):
            yield from sorted((self._directory / folder).iterdir())


def _remove_pause(path: Path, pause: Mapping[str, Any]) -> None:
    if not pause.get("private"):
        path.unlink(missing_ok=True)
        return
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(orjson.dumps({**pause, "trace_id": "", "span_id": ""}))
    fresh.chmod(0o600)
    fresh.replace(path)
