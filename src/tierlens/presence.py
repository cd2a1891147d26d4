"""What is there, on every Python: since 3.14 ``Path.exists`` and its kin say no where this user may not look."""

from __future__ import annotations

import stat
from pathlib import Path


def exists(path: Path) -> bool:
    """Whether anything is there.

    Raises:
        OSError: nobody can tell.
    """
    return _mode(path) is not None


def is_dir(path: Path) -> bool:
    """Whether a folder is there.

    Raises:
        OSError: nobody can tell.
    """
    return stat.S_ISDIR(_mode(path) or 0)


def is_file(path: Path) -> bool:
    """Whether a regular file is there.

    Raises:
        OSError: nobody can tell.
    """
    return stat.S_ISREG(_mode(path) or 0)


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
