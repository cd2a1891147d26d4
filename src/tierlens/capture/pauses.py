"""Which trace paused at which checkpoint: small files, so that another process can link the one that resumes it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import orjson


@dataclass(frozen=True, slots=True)
class Pause:
    """An interrupted trace: its ids, when it paused (Unix time, ns), and digests of what it keeps private."""

    trace_id: str
    span_id: str
    paused_ns: int
    private: tuple[str, ...] = ()


class Pauses:
    """Pauses by thread and checkpoint, one file each in ``directory`` (0600), kept until the thread moves on.

    A checkpoint id alone is unique, but a resumed graph may pause twice at the same one.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def remember(self, thread: str, checkpoint: str, pause: Pause) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(thread, checkpoint)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(orjson.dumps(pause))
        fresh.chmod(0o600)
        fresh.replace(path)

    def recall(self, thread: str, checkpoint: str) -> Pause | None:
        """The pause that a resume at ``checkpoint`` ends, or None where this journal has not seen it."""
        with contextlib.suppress(OSError, orjson.JSONDecodeError, TypeError):
            return Pause(**orjson.loads(self._path(thread, checkpoint).read_bytes()))
        return None

    def forget(self, thread: str, checkpoint: str) -> None:
        self._path(thread, checkpoint).unlink(missing_ok=True)

    def _path(self, thread: str, checkpoint: str) -> Path:
        name = hashlib.sha256(f"{thread}\0{checkpoint}".encode()).hexdigest()[:32]
        return self._directory / f"{name}.json"
