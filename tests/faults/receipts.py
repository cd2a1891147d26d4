"""What workers say of their spans, through a named pipe that any process can open.

A message is a length (2 bytes), a kind and a body, at most ``PIPE_BUF`` bytes, so that the kernel writes it whole
or not at all, whoever else writes and whenever the worker is killed:

    a    announced: 8 bytes of span id, 32 of digest; the append is about to be called
    +    accepted: the same; the append has returned
    n    a note: a JSON object with a "note" that names it
"""

from __future__ import annotations

import json
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

ANNOUNCED: Final = b"a"
ACCEPTED: Final = b"+"
NOTE: Final = b"n"
_PIPE_BUF: Final = 4096
_READ: Final = 1 << 16


class Receipts:
    """A worker's end of the pipe."""

    def __init__(self, pipe: Path) -> None:
        self._fd = os.open(pipe, os.O_WRONLY | os.O_CLOEXEC)

    def fileno(self) -> int:
        """The descriptor of the pipe."""
        return self._fd

    def announce(self, span_id: str, digest: bytes) -> None:
        """The append of this span is about to be called."""
        self._say(ANNOUNCED, bytes.fromhex(span_id) + digest)

    def accepted(self, span_id: str, digest: bytes) -> None:
        """The append of this span has returned."""
        self._say(ACCEPTED, bytes.fromhex(span_id) + digest)

    def note(self, note: str, **facts: object) -> None:
        """Anything else worth telling, by name."""
        self._say(NOTE, json.dumps({"note": note, **facts}).encode())

    def _say(self, kind: bytes, body: bytes) -> None:
        message = len(body).to_bytes(2) + kind + body
        if len(message) > _PIPE_BUF:
            raise ValueError(f"{len(message)} bytes are too many for one write to a pipe")
        os.write(self._fd, message)


class Ledger:
    """The parent's end: reads for as long as it is open, so that no worker waits for room in the pipe.

    Attributes:
        announced, accepted: digests by span id.
        notes: every note, in order.
    """

    def __init__(self, pipe: Path) -> None:
        self.pipe = pipe
        self.announced: dict[str, bytes] = {}
        self.accepted: dict[str, bytes] = {}
        self.notes: deque[dict[str, Any]] = deque()
        self._unread = b""
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        os.mkfifo(self.pipe, 0o600)
        # Opened for both, so that the pipe does not end when a worker does.
        self._fd = os.open(self.pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._listen, name="ledger", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._fd)

    def settle(self) -> None:
        """Wait until all that was said so far, by workers dead by now too, has been read."""
        quiet = 0
        while quiet < 2:
            readable, _, _ = select.select([self._fd], [], [], 0)
            quiet = 0 if readable else quiet + 1
            time.sleep(0.01)

    def noted(self, note: str) -> list[dict[str, Any]]:
        """All notes of a name, so far."""
        return [found for found in list(self.notes) if found["note"] == note]

    def wait_for(self, note: str, count: int = 1, timeout_s: float = 60.0) -> list[dict[str, Any]]:
        """The notes of a name, once there are so many of them.

        Raises:
            TimeoutError: there were fewer.
        """
        return self.wait_until(lambda: self._enough(note, count), f"{count} x {note!r}", timeout_s)

    def wait_until(self, found: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
        """What ``found`` returns, once that is true.

        Raises:
            TimeoutError: it never was.
        """
        deadline = time.monotonic() + timeout_s
        while not (result := found()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no worker has said {what} in {timeout_s:.0f} s; said: {list(self.notes)[-3:]}")
            time.sleep(0.005)
        return result

    def _enough(self, note: str, count: int) -> list[dict[str, Any]] | None:
        notes = self.noted(note)
        return notes if len(notes) >= count else None

    def _listen(self) -> None:
        while not self._stop.is_set():
            select.select([self._fd], [], [], 0.05)
            try:
                self._hear(os.read(self._fd, _READ))
            except BlockingIOError:
                continue

    def _hear(self, piece: bytes) -> None:
        said, at = self._unread + piece, 0
        while len(said) - at >= 3 and len(said) - at >= 3 + (size := int.from_bytes(said[at : at + 2])):
            self._take(said[at + 2 : at + 3], said[at + 3 : at + 3 + size])
            at += 3 + size
        self._unread = said[at:]

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == NOTE:
            self.notes.append(json.loads(body))
            return
        spans = self.accepted if kind == ACCEPTED else self.announced
        spans[body[:8].hex()] = body[8:]
