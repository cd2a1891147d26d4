"""Lines put back into a journal for whoever ships next: as a writer of their own, whose process has ended."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tierlens.journal.codec import Line, encode_line
from tierlens.journal.forgotten import Forgotten
from tierlens.journal.segment import PUT_BACK, segment_path, sync_directory, writer_name


def put_back(directory: Path, lines: Iterable[Line]) -> int:
    """Have finished spans delivered, again or after all; returns how many there were. Erased ones are left out.

    They are on disk when this returns. A span that MLflow has already lands on the same row.

    Raises:
        OSError: they could not be written; nothing of them is left then.
    """
    forgotten = Forgotten(directory)
    content = [encode_line(line) for line in lines if not (forgotten and forgotten.has(line))]
    if not content:
        return 0
    # Not given its name before it is whole: without a lock file, its writer counts as dead from the first moment.
    name = writer_name()
    unnamed = segment_path(directory, f"{PUT_BACK}{name}", 1)
    descriptor = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
        unnamed.rename(segment_path(directory, name, 1))
    except BaseException:
        unnamed.unlink(missing_ok=True)
        raise
    sync_directory(directory)
    return len(content)
