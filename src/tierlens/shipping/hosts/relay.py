"""What a shipping process has to say, said again where somebody looks: in the log of the process it ships for."""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from tierlens.journal.lock import FileLock
from tierlens.journal.segment import SHIP_LOG, open_for_reading

log = logging.getLogger("tierlens.shipping")

_LONGEST: Final = 4 << 20
_AT_ONCE: Final = 8192
_TIME: Final = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")


class Relay:
    """Follows ``ship.log`` from where it ended at first; of all processes of a journal, one does.

    The file is emptied once it is longer than 4 MB.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / SHIP_LOG
        self._lock = FileLock(self._path)
        self._at = 0

    def pass_on(self) -> None:
        """Log what was said since the last time."""
        with suppress(OSError):
            if self._lock.held or self._begin():
                for line in self._said().splitlines():
                    log.warning("%s", _TIME.sub("", line))

    def drop(self) -> None:
        """Leave it to another process."""
        self._lock.drop()

    def _begin(self) -> bool:
        size = self._path.stat().st_size if self._path.exists() else 0
        if not self._lock.acquire():
            return False
        self._at = size
        return True

    def _said(self) -> str:
        size = self._path.stat().st_size
        if size > _LONGEST:
            os.truncate(self._path, 0)
            size = 0
        if size <= self._at:
            self._at = size
            return ""
        descriptor = open_for_reading(self._path)
        try:
            whole = os.pread(descriptor, _AT_ONCE, max(self._at, size - _AT_ONCE))
        finally:
            os.close(descriptor)
        self._at = size
        return whole.decode("utf-8", "replace")
