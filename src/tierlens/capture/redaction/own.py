"""Rules of the user's own: numbers that a company gives to people, in its own notation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tierlens.capture.redaction.text import START, Range, Recogniser, Text

_BEGINNING: Final = re.compile(START)


def own(pattern: str) -> Recogniser:
    """Finds ``pattern`` where it is no part of a longer word or number."""
    compiled = re.compile(rf"(?:{pattern})(?!\w)")

    def recognise(text: Text) -> Iterator[Range]:
        match = compiled.search(text.raw)
        while match:
            start, end = match.span()
            found = _BEGINNING.match(text.raw, start) and _is_value(text, start, end)
            if found:
                yield start, end
            match = compiled.search(text.raw, end if found else start + 1)

    return recognise


def _is_value(text: Text, start: int, end: int) -> bool:
    """Whether JSON stays JSON without it: between its strings, only whole numbers can go."""
    return text.is_number(start, end) or not text.between_strings(start)
