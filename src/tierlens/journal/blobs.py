"""Artifacts' bytes, each content once under its SHA-256, until what refers to them has been shipped."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from pathlib import Path

from tierlens.journal.segment import BLOBS, create_directory


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
    """Write under another name, then rename: a blob is whole or not there.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    create_directory(directory / BLOBS)
    path = blob_path(directory, sha256)
    temporary = path.with_name(f".{sha256}.{secrets.token_hex(4)}.tmp")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
