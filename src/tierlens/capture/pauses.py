"""Which trace paused at which checkpoint: small files, so that another process can link the one that resumes it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

_DAY_S: Final = 86_400.0
KEPT_S: Final = 30 * _DAY_S
# What a pause keeps private, the trace that resumes it must know: lost, it would let that text through.
KEPT_WITH_SECRETS_S: Final = 365 * _DAY_S


@dataclass(frozen=True, slots=True)
class Pause:
    """An interrupted trace: its ids, when it paused (Unix time, ns), and digests of what it keeps private."""

    trace_id: str
    span_id: str
    paused_ns: int
    private: tuple[str, ...] = ()


class Pauses:
    """Pauses by thread and checkpoint, one file each in ``directory`` (0600), kept until the thread moves on,
    or until they are swept.

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
                    if age_s > KEPT_S and (age_s > KEPT_WITH_SECRETS_S or not _keeps_secrets(Path(entry.path))):
                        Path(entry.path).unlink()

    def _path(self, thread: str, checkpoint: str) -> Path:
        name = hashlib.sha256(f"{thread}\0{checkpoint}".encode()).hexdigest()[:32]
        return self._directory / f"{name}.json"


def _keeps_secrets(path: Path) -> bool:
    with contextlib.suppress(orjson.JSONDecodeError, TypeError):
        return bool(Pause(**orjson.loads(path.read_bytes())).private)
    return False
