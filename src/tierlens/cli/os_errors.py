"""What the operating system refuses, said in one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Final

_ELSE: Final = "see that it is there and can be read and written to, or name another"
_MENDS: Final[Mapping[int, str]] = {
    errno.EACCES: "let this user read and write there, or run this as the user it belongs to",
    errno.EPERM: "let this user read and write there, or run this as the user it belongs to",
    errno.EROFS: "it is mounted read-only: run this where it can be written to",
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or raise the quota",
    errno.EMFILE: "raise the limit on open files (`ulimit -n`)",
}


def sentence(error: OSError) -> str:
    """``<path>: <reason>; <how to mend it>``, without the path where the error names none."""
    reason = error.strerror or str(error) or type(error).__name__
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return f"{where}{reason}; {_MENDS.get(error.errno or 0, _ELSE)}"
