"""What lies beside a journal's segments of traces that are erased: dead letters and artifacts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Final

from tierlens import presence
from tierlens.journal.blobs import blob_path, identity, remove_untouched
from tierlens.journal.codec import Line
from tierlens.journal.forgotten import OWNERS, Subject, subjects_of
from tierlens.journal.resting import resting
from tierlens.journal.segment import BLOBS, DEAD_LETTER
from tierlens.shipping.deadletter import DeadLetters, Letter

_IDS: Final = 32


class Besides:
    """The folders beside a journal's segments; every method may raise OSError."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._letters = DeadLetters(directory)

    def traces_of(self, wanted: Callable[[Subject], bool]) -> set[str]:
        """Traces of which a dead letter names a session or user that is wanted."""
        return {line.trace for _, letter, line in self._letters.all() if any(map(wanted, _named(letter, line)))}

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

    def resting(self, gone: Callable[[str], bool]) -> dict[str, tuple[int, int]]:
        """Artifacts that rest after their delivery for these traces alone, and what each was then."""
        found = resting(self._directory).items()
        return {sha256: one.seen for sha256, one in found if one.traces and all(map(gone, one.traces))}

    def remove_blob(self, sha256: str, seen: tuple[int, int], *, write: bool) -> bool:
        """Whether it was, or would be, removed."""
        if not write:
            return presence.is_file(blob_path(self._directory, sha256))
        return remove_untouched(self._directory, sha256, seen)

    def _in(self, folder: str) -> Iterator[Path]:
        with suppress(FileNotFoundError, NotADirectoryError):
            yield from sorted((self._directory / folder).iterdir())


def _named(letter: Letter, line: Line) -> Iterator[Subject]:
    whose = (Subject(kind, letter.whose[kind]) for kind in OWNERS if kind in letter.whose)
    return chain(whose, (subject for subject, _ in subjects_of(line)))
