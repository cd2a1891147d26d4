"""A text under redaction, with what several rules ask of it computed once, and what a rule is.

A recogniser looks for rare characters and literals first, at memory speed, and looks closer only there. Every
repetition in a pattern is bounded or possessive, so that no text can make it backtrack for long.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import islice
from typing import Final

import orjson

# A beginning that is not inside a word; the letter of an escape (\n) is no part of the word behind it.
START: Final = r"(?:(?<!\w)|(?<=\\[nrtbf]))"
# Where a word may begin that may be the last part of a name: patient_mrn, homePhone.
NAME_START: Final = r"(?:(?<![a-z])|(?<=\\[nrtbf]))"
NUMBER_START: Final = START + r"(?<![.\d-])"
NUMBER_END: Final = r"(?![\w-]|\.\d)"

# With all digits made one, a pattern can begin with a literal: found ten times as fast as a class.
_SHAPE: Final = bytes.maketrans(b"0123456789", b"0000000000")
_WORD_CHARACTERS: Final = (string.ascii_letters + string.digits + "_-").encode()
_WORDS: Final = bytes(ord("a") if byte in _WORD_CHARACTERS else ord(" ") for byte in range(256))
LONG: Final = 20
# How far a match may begin before its place, and end behind it.
_BEFORE: Final = 3
_BEYOND: Final = 24
_MOST_DIGITS: Final = 19
_LONG_WORD: Final = b"a" * LONG
# Two digits, and then: decimals, which are passed over; or, at the beginning of a number that is no date, five
# digits more with little between them.
_NUMBER: Final = re.compile(
    rb"00(?:(?<=\.00)0*+"
    rb"|(?<![0.]00)(?:(?<![A-Za-z_]00)|(?<=\\[nrtbf]00))(?=(?:[ )./-]{0,2}0){5})(?!00[-/.]00[-/.]00(?!0))"
    rb"(0*+(?:[ )./-]{1,2}0++){0,6}+))"
)
_SHORT_NUMBER: Final = re.compile(rb"0[0A-Za-z-]{2,20}+")
_ESCAPED_UNICODE: Final = re.compile(r"u[0-9a-fA-F]{4}")

Range = tuple[int, int]


class Text:
    """A plain string, or JSON that was dumped already; nobody says which.

    Attributes:
        raw: the text.
        lower: the same with ASCII capitals made small, and a ? for what Latin-1 does not have.
        has_digits: whether there is an ASCII digit in it.
    """

    __slots__ = ("_bytes", "_json", "_numbers", "_shape", "has_digits", "lower", "raw")

    def __init__(self, raw: str) -> None:
        self.raw = raw
        # One byte a character; what is not Latin is none of the letters that any name is written in.
        self._bytes = raw.encode("latin-1", "replace")
        self.lower = self._bytes.lower().decode("latin-1")
        self._shape = self._bytes.translate(_SHAPE)
        self.has_digits = b"0" in self._shape
        self._numbers: list[tuple[int, int, int]] | None = None
        self._json: bool | None = None

    @property
    def numbers(self) -> list[tuple[int, int, int]]:
        """Where a number of seven digits or more stands, in groups or in a row, and is no decimal and no date; with
        how many digits it has."""
        if self._numbers is None:
            found = _NUMBER.finditer(self._shape) if self.has_digits else ()
            places = (match.span() for match in found if match.lastindex)
            self._numbers = [(start, end, self._shape.count(b"0", start, end)) for start, end in places]
        return self._numbers

    def long_words(self) -> Iterator[Range]:
        """Words of ``LONG`` letters, digits, hyphens and underscores or more."""
        words = self._bytes.translate(_WORDS)
        start = words.find(_LONG_WORD)
        while start >= 0:
            end = words.find(b" ", start)
            end = end if end >= 0 else len(words)
            yield start, end
            start = words.find(_LONG_WORD, end)

    def looks_generated(self, start: int, end: int) -> bool:
        """Whether there is a digit in a word, or letters of both cases."""
        if self._shape.find(b"0", start, end) >= 0:
            return True
        word = self.raw[start:end]
        return not word.islower() and not word.isupper()

    @property
    def is_json(self) -> bool:
        """Whether this is JSON. It is only asked where something was found, and may take a while."""
        if self._json is None:
            self._json = self.raw.lstrip()[:1] in ("{", "[", '"') and _parses(self.raw)
        return self._json

    def _quotes_before(self, position: int) -> int:
        """How many of JSON's own quotes, those that open or close a string, stand there."""
        # Without escaped backslashes, every quote behind a backslash is an escaped one.
        before = self.raw[:position].replace("\\\\", "")
        return before.count('"') - before.count('\\"')

    def between_strings(self, position: int) -> bool:
        """Whether JSON's structure stands at ``position``, not the inside of a string."""
        return self.is_json and self._quotes_before(position) % 2 == 0

    def closes_string(self, position: int) -> bool:
        """Whether the quote at ``position`` is the end of a JSON string."""
        return self.is_json and self._quotes_before(position) % 2 == 1

    def positions(self, anchor: str, *, lower: bool = False) -> Iterator[int]:
        """Where a literal begins."""
        text = self.lower if lower else self.raw
        found = text.find(anchor)
        while found >= 0:
            yield found
            found = text.find(anchor, found + len(anchor))

    def before_numbers(self, reach: int) -> Iterable[Range]:
        """Where a word may stand that announces a number of four characters or more: ``reach`` before each.

        Where there are many numbers, the whole text, which is sooner searched.
        """
        many = 2 + len(self.raw) // 512
        found = list(islice(_SHORT_NUMBER.finditer(self._shape), many)) if self.has_digits else []
        if len(found) == many:
            return ((0, len(self.raw)),)
        return [(max(0, match.start() - reach), match.start()) for match in found]

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


def _parses(raw: str) -> bool:
    try:
        orjson.loads(raw)
    except ValueError:
        return False
    return True


Recogniser = Callable[[Text], Iterator[Range]]


def matches(
    text: Text, pattern: re.Pattern[str], *, rows: Container[int], groups: Container[int]
) -> Iterator[re.Match[str]]:
    """Matches of ``pattern`` among a text's numbers: at the beginning of those in a row, in and a little before those
    in groups.

    Args:
        rows, groups: how many digits the ones and the others must have; several numbers side by side have more.
    """
    done = 0
    for start, end, digits in text.numbers:
        if digits == end - start:
            match = pattern.match(text.raw, start) if digits in rows and start >= done else None
            if match:
                done = match.end()
                yield match
        elif digits in groups or digits > _MOST_DIGITS:
            for match in pattern.finditer(text.raw, max(done, start - _BEFORE), min(end + _BEYOND, len(text.raw))):
                # What begins behind the number may be cut off by where the search ends.
                if match.start() < end:
                    done = match.end()
                    yield match
