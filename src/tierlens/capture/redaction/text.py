"""A text under redaction, with what several rules ask of it computed once, and what a rule is.

A recogniser looks for rare characters and literals first, at memory speed, and looks closer only there. Every
repetition in a pattern is bounded or possessive, so that no text can make it backtrack for long.
"""

from __future__ import annotations

import re
import string
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Final

# A beginning that is not inside a word; the letter of an escape (\n) is no part of the word behind it.
START: Final = r"(?:(?<!\w)|(?<=\\[nrtbf]))"

_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
# With all digits made one, a pattern can begin with a literal: found ten times as fast as a class.
_SHAPE: Final = bytes.maketrans(b"0123456789", b"0000000000")
_GROUP: Final = re.compile(rb"0(?:(\.)0{4,}+|0{3,}+)")
_AFTER_GROUP: Final = re.compile(rb"[0)][ .-]")
# As far as a number in groups can reach to either side of its longest group.
_REACH: Final = 20
# A run of backslashes is looked at from its first one only, or a long run would cost its square.
_QUOTE: Final = re.compile(r'(?<!\\)(\\*+)"')
_ESCAPED_UNICODE: Final = re.compile(r"u[0-9a-fA-F]{4}")

Range = tuple[int, int]


class Text:
    """A plain string, or JSON that was dumped already; nobody says which."""

    def __init__(self, raw: str) -> None:
        self.raw = raw

    @cached_property
    def lower(self) -> str:
        """In lower case, every character at its place in ``raw``."""
        lower = self.raw.lower()
        # A few capitals have lower-case forms of two characters.
        return lower if len(lower) == len(self.raw) else self.raw.translate(_LOWER)

    @cached_property
    def _shape(self) -> bytes:
        """One byte a character, every digit a 0."""
        return self.raw.encode("latin-1", "replace").translate(_SHAPE)

    @cached_property
    def has_digits(self) -> bool:
        return b"0" in self._shape

    @cached_property
    def numbers(self) -> list[tuple[int, int]]:
        """Windows in which a number of seven digits or more may stand; years and decimals lie in none."""
        windows: list[tuple[int, int]] = []
        for start, end in _long_groups(self._shape):
            start = max(0, start - _REACH)
            if windows and start <= windows[-1][1]:
                start = windows.pop()[0]
            windows.append((start, end + _REACH))
        return windows

    @cached_property
    def like_json(self) -> bool:
        """False only where this cannot be JSON that holds a string."""
        return self.raw.lstrip()[:1] in ("{", "[", '"')

    @cached_property
    def _quotes(self) -> list[int]:
        """Where JSON's own quotes stand: those that open or close a string."""
        return [match.end() - 1 for match in _QUOTE.finditer(self.raw) if len(match[1]) % 2 == 0]

    def between_strings(self, position: int) -> bool:
        """Whether JSON's structure stands at ``position``, not the inside of a string."""
        return self.like_json and bisect_left(self._quotes, position) % 2 == 0

    def closes_string(self, position: int) -> bool:
        """Whether the quote at ``position`` is the end of a JSON string."""
        return self.like_json and bisect_left(self._quotes, position) % 2 == 1

    def positions(self, anchor: str, *, lower: bool = False) -> Iterator[int]:
        """Where a literal begins."""
        text = self.lower if lower else self.raw
        found = text.find(anchor)
        while found >= 0:
            yield found
            found = text.find(anchor, found + len(anchor))

    def after_escape(self, start: int) -> int:
        """``start``, or the end of the escape that a cut there would leave in two."""
        before = start
        while before and self.raw[before - 1] == "\\":
            before -= 1
        if (start - before) % 2 == 0:
            return start
        unicode = _ESCAPED_UNICODE.match(self.raw, start)
        return unicode.end() if unicode else start + 1

    def is_number(self, start: int, end: int) -> bool:
        """Whether the range is all of a JSON number, so that a string may stand in its place."""
        before = self.raw[max(0, start - 64) : start].rstrip()[-1:]
        after = self.raw[end : end + 64].lstrip()[:1]
        return before in (":", ",", "[") and after in ("", ",", "]", "}")


Recogniser = Callable[[Text], Iterator[Range]]


def _long_groups(shape: bytes) -> Iterator[tuple[int, int]]:
    """Groups of four digits that follow another group, and longer ones that are no decimals."""
    for group in _GROUP.finditer(shape):
        if group.lastindex:
            continue
        start, end = group.span()
        if end - start > 4 or _AFTER_GROUP.match(shape, max(0, start - 2), start):
            yield start, end
