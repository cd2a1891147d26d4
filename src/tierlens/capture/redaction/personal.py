"""Personal values: e-mail addresses, payment cards and numbers that name one person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tierlens.capture.redaction.text import NAME_START, NUMBER_END, NUMBER_START, Range, Text, matches


def luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1, annex B)."""
    odd = sum(int(digit) for digit in digits[-1::-2])
    even = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (odd + even) % 10 == 0


# A letter that JSON has escaped, once or more.
_ESCAPED: Final = r"\\++u[0-9a-fA-F]{4}"
_AT: Final = ("@", "%40", "\uff20")
_DOMAIN: Final = re.compile(
    rf"(?:@|%40|\uff20)(?![23]x\.)(?:(?:[^\W_]|{_ESCAPED})(?:[\w-]|{_ESCAPED}){{0,62}}\.){{1,8}}"
    rf"(?:[^\W\d_]|{_ESCAPED}){{2,24}}(?![\w@])"
)
_LOCAL: Final = re.compile(rf"(?:[\w%+&]|{_ESCAPED})(?:[\w.%+&'-]|{_ESCAPED}){{0,63}}$")
# Whom everybody is to a host of repositories.
_NOBODY: Final = frozenset({"git", "hg", "svn"})


def email(text: Text) -> Iterator[Range]:
    """``name@host.tld``, from the @ outwards."""
    for sign in _AT:
        if sign not in text.raw:
            continue
        for at in text.positions(sign):
            if found := _address(text, at):
                yield found


def _address(text: Text, at: int) -> Range | None:
    raw = text.raw
    before = raw[at - 1 : at]
    if not (before.isalnum() or before in ("_", "%", "+", "&", ".", "'", "-")):
        return None
    domain = _DOMAIN.match(raw, at)
    local = _LOCAL.search(raw, max(0, at - 64), at) if domain else None
    if domain is None or local is None:
        return None
    start = text.after_escape(local.start())
    return (start, domain.end()) if start < at and raw[start:at] not in _NOBODY else None


# By the first digits that the networks have been given (ISO/IEC 7812), and the lengths they issue.
_CARD: Final = re.compile(
    NUMBER_START + r"(?:4(?:[ -]?\d){12}(?:(?:[ -]?\d){3}){0,2}|(?:5[1-5]|2[2-7]|35|6[0245])(?:[ -]?\d){14}(?:\d{3})?"
    r"|3[47](?:[ -]?\d){13}|3[068](?:[ -]?\d){12}|(?:50|5[6-9]|6\d)(?:[ -]?\d){10,17})" + NUMBER_END,
    re.ASCII,
)
_CARD_DIGITS: Final = range(13, 20)
_USUAL: Final = 16


def card(text: Text) -> Iterator[Range]:
    """Payment cards: 13 to 19 digits that begin as card numbers do and pass the Luhn check."""
    for match in matches(text, _CARD, rows=_CARD_DIGITS, groups=_CARD_DIGITS):
        digits = re.sub(r"[ -]", "", match[0])
        # Longer numbers in JSON are ids.
        if luhn(digits) and (len(digits) <= _USUAL or not _is_json_number(text, match.start())):
            yield match.span()


_AFTER_NAME: Final = re.compile(r"[\"']\s{0,2}:\s{0,2}$")


def _is_json_number(text: Text, start: int) -> bool:
    """Whether the number at ``start`` stands outside all strings, in JSON or in JSON that a string holds."""
    return _AFTER_NAME.search(text.raw, max(0, start - 6), start) is not None or text.between_strings(start)


_TEN_DIGITS: Final = re.compile(NUMBER_START + r"[12]\d{9}" + NUMBER_END, re.ASCII)
_SOCIAL_SECURITY: Final = re.compile(
    NUMBER_START + r"(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}" + NUMBER_END, re.ASCII
)
_ANNOUNCED_RECORD: Final = re.compile(
    NAME_START
    + r"(?:mrn|npi|ssn|(?:record|patient(?:en)?|subject|member)[ _-]?(?:nummer|number|num|no\.?|nr\.?|id|(?=\#)))"
    r"(?:(?:\\*+[\"'])?\s{0,4}[:=#]|\s{1,4}is\b|\s)\s{0,4}(?:\\*+[\"'])?"
    r"([a-z]{0,4}-?\d[a-z\d-]{2,19}\d)(?!\w|\.\d)",
    re.ASCII,
)
_REACH: Final = 44
_RECORDS: Final = ("mrn", "npi", "ssn", "record", "patient", "subject", "member")


def record_number(text: Text) -> Iterator[Range]:
    """Numbers that name one person: NPI by its check digit, US social security, and what a word announces.

    An NPI is ten digits from 1 or 2, its Luhn digit computed with the prefix 80840 (45 CFR 162.406). Ten digits
    that are a number in JSON are far more often a time.
    """
    if text.numbers:
        for match in matches(text, _TEN_DIGITS, rows=(10,), groups=range(10, 20)):
            if luhn(f"80840{match[0]}") and not _is_json_number(text, match.start()):
                yield match.span()
        for match in matches(text, _SOCIAL_SECURITY, rows=(), groups=(9,)):
            yield match.span()
    for begin, end in text.before_numbers(_REACH):
        for word in _RECORDS:
            start = text.lower.find(word, begin, end)
            while start >= 0:
                if announced := _ANNOUNCED_RECORD.match(text.lower, start):
                    yield announced.span(1)
                start = text.lower.find(word, start + 1, end)
