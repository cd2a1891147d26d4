"""What lies in a journal directory, by name, and how a segment is opened.

    <writer>.<number>.jsonl   a segment; the numbers of one writer count up from 000001
    <writer>.lock             locked for as long as that process lives
    <writer>.cursor           how far the writer's lines have been acknowledged
    shipper.lock              locked by the one process that ships from this directory
    shipper.state             what that process says of itself
    shipper.wanted            somebody else wants to ship
    flush.wanted              somebody waits for what was written so far
    ship.log                  what a shipping process had to say; locked by the process that passes it on
    totals                    what became of the spans of writers whose files are gone
    repaired                  which damaged lines have been dealt with
    forgotten.jsonl           who and what was erased, by digest
    forget.lock  forget.left  locked while somebody erases; traces that MLflow may still have
    put-back-<writer>.….jsonl lines on their way back into the journal
    blobs-delivered           of which traces artifacts were that rest after their delivery
    blobs/  dead-letter/      artifacts by SHA-256; lines that no sink would take
    configurations/           agents' files and flags, by version
    paused/                   which trace paused at which checkpoint

A writer is one process: ``<UTC time>-<pid>-<8 hex digits>``. Everything else in the directory is left alone.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BLOBS: Final = "blobs"
BLOBS_DELIVERED: Final = "blobs-delivered"
DEAD_LETTER: Final = "dead-letter"
CONFIGURATIONS: Final = "configurations"
PAUSED: Final = "paused"
SHIPPER_LOCK: Final = "shipper.lock"
SHIPPER_STATE: Final = "shipper.state"
SHIPPER_WANTED: Final = "shipper.wanted"
FLUSH_WANTED: Final = "flush.wanted"
SHIP_LOG: Final = "ship.log"
TOTALS: Final = "totals"
REPAIRED: Final = "repaired"
FORGOTTEN: Final = "forgotten.jsonl"
FORGET_LOCK: Final = "forget.lock"
FORGET_LEFT: Final = "forget.left"
PUT_BACK: Final = "put-back-"

_NAME: Final = re.compile(r"(\d{8}T\d{6}-\d+-[0-9a-f]{8})\.(?:(\d{6,})\.jsonl|lock|cursor)")
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Writer:
    """One process's part of a journal: its name and the numbers of its segments, ascending."""

    name: str
    segments: tuple[int, ...]


def writer_name() -> str:
    """A name no other process has, sorting by the time it was given."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}-{secrets.token_hex(4)}"


def segment_path(directory: Path, writer: str, number: int) -> Path:
    return directory / f"{writer}.{number:06d}.jsonl"


def lock_path(directory: Path, writer: str) -> Path:
    return directory / f"{writer}.lock"


def cursor_path(directory: Path, writer: str) -> Path:
    return directory / f"{writer}.cursor"


def writers(directory: Path) -> list[Writer]:
    """All writers that left anything in the directory, oldest first; none if there is no directory."""
    found: dict[str, list[int]] = {}
    try:
        names = [path.name for path in directory.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    for name in names:
        if matched := _NAME.fullmatch(name):
            numbers = found.setdefault(matched[1], [])
            if matched[2]:
                numbers.append(int(matched[2]))
    return [Writer(name, tuple(sorted(numbers))) for name, numbers in sorted(found.items())]


def open_for_append(directory: Path, writer: str, number: int) -> int:
    """Create a segment that nobody has yet, readable by its owner only, and return its descriptor."""
    return os.open(segment_path(directory, writer, number), _APPEND, 0o600)


def open_for_reading(path: Path) -> int:
    """Open a regular file, following no link and waiting for no pipe.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
    """
    descriptor = os.open(path, _READ)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a regular file")
    return descriptor


def create_directory(path: Path) -> None:
    """Create a directory, and those above it, for their owner only; one that exists keeps its mode."""
    # Of what it makes above, ``mkdir(parents=True)`` leaves the mode to the umask.
    for missing in reversed([one for one in path.parents if not one.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def sync_directory(path: Path) -> None:
    """Make the directory's entries survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, content: bytes) -> None:
    """Write for the owner's eyes only and under a name of its own, then rename: the file is whole or not there.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    create_directory(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace_durably(path: Path, content: bytes) -> None:
    """Write, fsync, rename, fsync the directory: after a crash either the old content is there or the new.

    Only the holder of the shipper's lock may call it, because the temporary name is always the same: so a
    crash leaves one such file at most, and the next call replaces it.
    """
    temporary = temporary_path(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)
    sync_directory(path.parent)


def temporary_path(path: Path) -> Path:
    """Where ``replace_durably`` writes before it renames."""
    return path.with_name(f"{path.name}.tmp")
