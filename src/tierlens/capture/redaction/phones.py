"""Phone numbers, as they are written in many countries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tierlens.capture.redaction.text import NAME_START, NUMBER_END, NUMBER_START, START, Range, Text, matches

_NORTH_AMERICAN: Final = r"(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}"
# The national prefix 0, then groups: 020 7946 0958, (02) 9876 5432, 0171/123 4567, 090-1234-5678.
_TRUNK: Final = (
    r"(?=(?:[ ()/-]{0,2}\d){9,12}(?![ -]?\d))\(?0[1-9]\d{0,3}\)?"
    r"(?:[ /-]\d{6,8}|[ /-]?\d{2,8}(?:[ -]\d{2,5}){0,2}[ -]\d{3,5})"
)
# In pairs: 01 23 45 67 89, 044 668 18 00, 0470 12 34 56.
_PAIRS: Final = r"(?=(?:[ .-]?\d){9,11}(?![ .-]?\d))0[1-9](?:\d{0,2}(?: \d{3})?(?: \d\d){2,4}|(?:[.-]\d\d){4})"
_ABROAD: Final = r"00[1-9]\d{0,2}(?=(?: ?\d){7,12}(?! ?\d))(?: \d{1,5}){2,5}"
_NATIONAL: Final = re.compile(
    rf"{NUMBER_START}(?:{_NORTH_AMERICAN}|{_TRUNK}|{_PAIRS}|{_ABROAD}){NUMBER_END}(?! \d{{2,5}}(?!\w))", re.ASCII
)
_INTERNATIONAL: Final = re.compile(START + r"\+(?=[1-9])", re.ASCII)
_GROUP: Final = re.compile(r" ?[ (./-]? ?(\d++)\)?", re.ASCII)
_DECIMAL: Final = re.compile(r"\+\d+\.\d+(?![.\d])", re.ASCII)
_ANNOUNCED: Final = re.compile(
    NAME_START + r"(?:phone|mobile?|cell|tel|fax|whatsapp|handy)\.?(?:[ _-]?(?:number|no|nr|num)\.?)?"
    r"(?:\\*+[\"'])?(?:\s{0,4}[:=#]\s{0,4}|\s{1,4})(?:\\*+[\"'])?[+(]?\d{0,3}[ ()./-]?$",
    re.ASCII,
)
# A paper's name may go on like a telephone number: 10.1016/0304-4076(90)90014-K.
_DOI: Final = re.compile(r"\b10\.\d{4,9}/$", re.ASCII)
_LONGEST_DOI: Final = 14
_LOOK_BACK: Final = 40
_BEFORE: Final = 6
_FIRST: Final = re.compile(r"[+(]?\d")
_WHOLE: Final = re.compile(r"[+(]?\d[\d ()./-]{5,18}\d(?!\w)", re.ASCII)


def phone(text: Text) -> Iterator[Range]:
    """Numbers written as phone numbers; digits in a row only behind a + or where a word says what they are."""
    if not text.has_digits:
        return
    if "+" in text.raw:
        for plus in text.positions("+"):
            if found := _international(text.raw, plus):
                yield found
    if not text.numbers:
        return
    for match in matches(text, _NATIONAL, rows=(), groups=range(9, 16)):
        if not _DOI.search(text.raw, max(0, match.start() - _LONGEST_DOI), match.start()):
            yield match.span()
    for start, _, _ in text.numbers:
        before = text.lower[max(0, start - _LOOK_BACK) : start]
        if _may_announce(before) and _ANNOUNCED.search(before):
            yield from _announced(text.raw, start)


def _may_announce(before: str) -> bool:
    # One by one, which takes a tenth of what a loop does.
    return (
        "phone" in before or "mobil" in before or "cell" in before or "tel" in before or "fax" in before
        or "whatsapp" in before or "handy" in before
    )  # fmt: skip


def _announced(raw: str, start: int) -> Iterator[Range]:
    """The number around ``start``, which may have begun with a + or a few digits before."""
    before = raw[max(0, start - _BEFORE) : start]
    start -= len(before) - len(before.rstrip("+()./- 0123456789"))
    begun = _FIRST.search(raw, start)
    if begun and (number := _WHOLE.match(raw, begun.start())):
        yield number.span()


def _international(raw: str, plus: int) -> Range | None:
    """A number from its + on: 8 to 15 digits (ITU-T E.164), and 11 in North America's plan."""
    begin = _INTERNATIONAL.match(raw, plus)
    digits, end = "", plus + 1
    while begin and (group := _GROUP.match(raw, end)) and len(digits) + len(group[1]) <= 15:
        digits, end = digits + group[1], group.end()
    fits = len(digits) == 11 if digits.startswith("1") else len(digits) >= 8
    return (plus, end) if fits and not _DECIMAL.match(raw, plus) else None
