"""Who and what was erased, so that no copy of it is delivered later: ``forgotten.jsonl`` in the journal's folder.

    {"v":1,"salt":"<32 hex>"}
    {"kind":"trace","hash":"<32 hex>","before_ns":…}

One line for each trace, session or user, as a keyed BLAKE2b digest: the file says of an id whether it was erased, and
names none. Of a session or user, what began before ``before_ns`` (Unix time) was erased; what comes later is recorded
again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from tierlens import keys
from tierlens.journal.codec import Line
from tierlens.journal.segment import FORGOTTEN, create_directory, sync_directory

Kind = Literal["trace", "session", "user"]

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
_WHOSE: Final[dict[str, Kind]] = {keys.USER: "user", keys.SESSION: "session"}
OWNERS: Final = tuple(_WHOSE.values())
"""Kinds of whose a trace is."""
_MARKS: Final = tuple(f'"{key}"'.encode() for key in _WHOSE)


@dataclass(frozen=True, slots=True)
class Subject:
    """A trace (32 hex digits), a session or a user, by id."""

    kind: Kind
    id: str


def subjects_of(line: Line) -> Iterator[tuple[Subject, int]]:
    """The session and the user that a line's own span names, with the Unix time (ns) at which it began."""
    if not any(mark in line.payload for mark in _MARKS):
        return
    span: dict[str, Any] = orjson.loads(line.payload)
    began = int(span.get("startTimeUnixNano", 0))
    for attribute in span.get("attributes", ()):
        if kind := _WHOSE.get(attribute["key"]):
            yield Subject(kind, attribute["value"].get("stringValue", "")), began


class Forgotten:
    """What was erased from one journal, read anew whenever somebody has added to it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FORGOTTEN
        self._seen = (0, 0)
        self._salt = b""
        self._before: dict[tuple[str, str], int] = {}

    def __bool__(self) -> bool:
        """Whether there is anything to look for; looks at the file, so ask it before each question or lot of them."""
        with suppress(OSError):
            found = self._path.stat()
            if self._seen != (found.st_mtime_ns, found.st_size):
                self._salt, self._before = _read(self._path.read_bytes())
                self._seen = (found.st_mtime_ns, found.st_size)
        return bool(self._before)

    def covers(self, subject: Subject, began_ns: int = 0) -> bool:
        """Whether it was erased after ``began_ns``."""
        if not self._before:
            return False
        return began_ns < self._before.get((subject.kind, _digest(self._salt, subject)), 0)

    def has(self, line: Line) -> bool:
        """Whether a line is of an erased trace, or of a session or user erased after its span began."""
        if not self._before or not line.trace:
            return False
        return self.covers(Subject("trace", line.trace)) or any(self.covers(*said) for said in subjects_of(line))


def remember(directory: Path, subjects: Iterable[Subject], now_ns: int | None = None) -> None:
    """Note durably that these are erased.

    Raises:
        OSError: it could not be written.
    """
    create_directory(directory)
    before = time.time_ns() if now_ns is None else now_ns
    with open(os.open(directory / FORGOTTEN, _FLAGS, 0o600), "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        content = file.read()
        salt, _ = _read(content)
        # A crash may have left half a line.
        lines = [b"\n"] if content and not content.endswith(b"\n") else []
        if not salt:
            salt = secrets.token_bytes(16)
            lines.append(orjson.dumps({"v": 1, "salt": salt.hex()}) + b"\n")
        said = ({"kind": one.kind, "hash": _digest(salt, one), "before_ns": before} for one in subjects)
        file.write(b"".join([*lines, *(orjson.dumps(one) + b"\n" for one in said)]))
        os.fsync(file.fileno())
    sync_directory(directory)


def _read(content: bytes) -> tuple[bytes, dict[tuple[str, str], int]]:
    salt, before = b"", dict[tuple[str, str], int]()
    for line in content.splitlines():
        with suppress(ValueError, KeyError, TypeError):
            found = orjson.loads(line)
            if "salt" in found:
                salt = bytes.fromhex(found["salt"])
            else:
                key = (str(found["kind"]), str(found["hash"]))
                before[key] = max(int(found["before_ns"]), before.get(key, 0))
    return salt, before


def _digest(salt: bytes, subject: Subject) -> str:
    text = f"{subject.kind}\0{subject.id}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, key=salt, digest_size=16).hexdigest()
