"""Artifacts' bytes, each content once under its SHA-256, until what refers to them has been shipped."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tierlens.journal.segment import BLOBS, sync_directory, write_whole


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def blob_path(directory: Path, sha256: str) -> Path:
    return directory / BLOBS / sha256


def touch_blob(directory: Path, sha256: str) -> bool:
    """Whether the content is there already; its new modification time tells a remover that it is wanted
    again."""
    now = time.time_ns()
    try:
        os.utime(blob_path(directory, sha256), ns=(now, now), follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def write_blob(directory: Path, sha256: str, content: bytes) -> None:
    """Store a content; it is whole or not there.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    write_whole(blob_path(directory, sha256), content)


def sync_blobs(directory: Path, names: Iterable[str]) -> None:
    """Make blobs survive a power loss, those that are still there."""
    for sha256 in names:
        with suppress(FileNotFoundError), open(blob_path(directory, sha256), "rb") as file:
            os.fsync(file.fileno())
    with suppress(FileNotFoundError):
        sync_directory(directory / BLOBS)


def remove_untouched(directory: Path, sha256: str, seen: tuple[int, int]) -> bool:
    """Remove a blob unless somebody stored the same content again since ``seen`` (its inode and mtime_ns).

    It is renamed away before it is looked at, so a writer that touches it meanwhile finds it missing and
    writes anew.
    """
    path = blob_path(directory, sha256)
    aside = path.with_name(f".{sha256}.gone")
    try:
        path.replace(aside)
    except FileNotFoundError:
        return True
    if identity(aside) == seen:
        aside.unlink()
        return True
    aside.replace(path)
    return False


def identity(path: Path) -> tuple[int, int]:
    """Inode and modification time; changes whenever the same content is stored again.

    Raises:
        FileNotFoundError: there is no such blob.
    """
    found = path.stat()
    return found.st_ino, found.st_mtime_ns
