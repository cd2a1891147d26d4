"""Which trace paused at which checkpoint: small files, so that another process can link the one that resumes it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import orjson

from tierlens import presence
from tierlens.journal.segment import write_whole

_DAY_S: Final = 86_400.0
KEPT_S: Final = 30 * _DAY_S
# What a pause keeps private, the trace that resumes it must know: lost, it would let that text through.
KEPT_WITH_SECRETS_S: Final = 365 * _DAY_S
LAST: Final = ""
"""In place of a checkpoint: where the thread stands, whichever checkpoint it goes on from."""
WAITING: Final = "waiting"
"""In place of a checkpoint: the thread's last pause, while nobody has got past it."""


@dataclass(frozen=True, slots=True)
class Pause:
    """An interrupted trace, or the last of a thread: its ids, when it paused (Unix time, ns), digests of what it keeps
    private, its brand, and, of a thread's last pause, its checkpoint."""

    trace_id: str
    span_id: str
    paused_ns: int
    private: tuple[str, ...] = ()
    brand: str = ""
    checkpoint: str = ""


class Pauses:
    """Pauses by thread and checkpoint, one file each in ``directory`` (0600), kept until the thread moves on,
    or until they are swept.

    A checkpoint id alone is unique, but a resumed graph may pause twice at the same one.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def remember(self, thread: str, checkpoint: str, pause: Pause) -> None:
        write_whole(self._path(thread, checkpoint), orjson.dumps(pause))

    def recall(self, thread: str, checkpoint: str) -> Pause | None:
        """The pause that a resume at ``checkpoint`` ends, or None where this journal has not seen it."""
        return _read(self._path(thread, checkpoint))

    def forget(self, thread: str, checkpoint: str) -> None:
        self._path(thread, checkpoint).unlink(missing_ok=True)

    def sweep(self, now_s: float | None = None) -> None:
        """Remove pauses that nobody has resumed for 30 days, or for a year where they keep something private.

        Args:
            now_s: Unix time; a pause's age is that of its file.
        """
        now_s = time.time() if now_s is None else now_s
        with contextlib.suppress(OSError), os.scandir(self._directory) as entries:
            for entry in entries:
                # Another process may sweep at the same time, or its thread move on.
                with contextlib.suppress(OSError):
                    age_s = now_s - entry.stat().st_mtime
                    if age_s <= KEPT_S:
                        continue
                    pause = _read(Path(entry.path))
                    if age_s > KEPT_WITH_SECRETS_S or pause is None or not pause.private:
                        Path(entry.path).unlink()

    def erase(self, gone: Callable[[str], bool], *, write: bool) -> int:
        """Take the pauses of some traces away, or, where one keeps something private, the ids out of it: whoever
        resumes there must know what that was, else it would be let through.

        Returns:
            How many there are of them, also where nothing is to be written.

        Raises:
            OSError: the folder cannot be read, or a file not written.
        """
        found = 0
        for path in sorted(self._directory.iterdir()) if presence.is_dir(self._directory) else ():
            if (pause := _read(path)) is not None and gone(pause.trace_id):
                found += 1
                if write and pause.private:
                    write_whole(path, orjson.dumps(replace(pause, trace_id="", span_id="")))
                elif write:
                    path.unlink(missing_ok=True)
        return found

    def _path(self, thread: str, checkpoint: str) -> Path:
        name = hashlib.sha256(f"{thread}\0{checkpoint}".encode()).hexdigest()[:32]
        return self._directory / f"{name}.json"


def _read(path: Path) -> Pause | None:
    with contextlib.suppress(OSError, orjson.JSONDecodeError, TypeError):
        return Pause(**orjson.loads(path.read_bytes()))
    return None
