"""NUL characters, which text from PDFs may have and no PostgreSQL takes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from tierlens.errors import Rejected
from tierlens.sinks.base import Batch

_REFUSED: Final = re.compile(r"\bNUL\b.*0x00|invalid byte sequence.*0x00", re.IGNORECASE)
_ESCAPE: Final = re.compile(rb"(?<!\\)(\\+)u0000")


def refuses_nul(error: Rejected) -> bool:
    """Whether a database says that it cannot hold one."""
    return _REFUSED.search(error.detail) is not None


def without_nul(batch: Batch) -> Batch:
    """The batch with U+FFFD for each NUL of its spans, also where an attribute's text is JSON itself."""
    spans = [_ESCAPE.sub(_replaced, span) for span in batch.spans]
    return replace(batch, experiment=batch.experiment.replace("\0", "\ufffd"), spans=spans)


def _replaced(escape: re.Match[bytes]) -> bytes:
    """An even number of backslashes escapes each other; where JSON stands inside of JSON, they are doubled."""
    backslashes = len(escape[1])
    return escape[1] + b"ufffd" if backslashes % 2 or backslashes % 4 == 2 else escape[0]
