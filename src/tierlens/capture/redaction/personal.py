"""Personal values: email addresses, phone numbers, payment cards and numbers that name one person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tierlens.capture.redaction.text import START, Range, Text

# Where a word may begin that may be the last part of a name: patient_mrn, homePhone.
NAME_START: Final = r"(?:(?<![a-z])|(?<=\\[nrtbf]))"
NUMBER_START: Final = START + r"(?<![.\d-])"
NUMBER_END: Final = r"(?![\w-]|\.\d)"


def luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1, annex B)."""
    odd = sum(int(digit) for digit in digits[-1::-2])
    even = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (odd + even) % 10 == 0


# A letter that JSON has escaped, once or more.
_ESCAPED: Final = r"\\++u[0-9a-fA-F]{4}"
_DOMAIN: Final = re.compile(
    rf"@(?:(?:[^\W_]|{_ESCAPED})(?:[\w-]|{_ESCAPED}){{0,62}}\.){{1,8}}(?:[^\W\d_]|{_ESCAPED}){{2,24}}(?![\w@])"
)
_LOCAL: Final = re.compile(rf"(?:[\w%+&]|{_ESCAPED})(?:[\w.%+&'-]|{_ESCAPED}){{0,63}}$")


def email(text: Text) -> Iterator[Range]:
    """``name@host.tld``, from the @ outwards."""
    for at in text.positions("@"):
        domain = _DOMAIN.match(text.raw, at)
        local = _LOCAL.search(text.raw, max(0, at - 64), at) if domain else None
        if domain and local:
            start = text.after_escape(local.start())
            if start < at:
                yield start, domain.end()


def _numbers(text: Text, pattern: re.Pattern[str]) -> Iterator[Range]:
    for start, end in text.numbers:
        for match in pattern.finditer(text.raw, start, end):
            yield match.span()


_NORTH_AMERICAN: Final = re.compile(
    NUMBER_START + r"(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}" + NUMBER_END,
    re.ASCII,
)
_INTERNATIONAL: Final = re.compile(START + r"\+(?=[1-9])", re.ASCII)
_GROUP: Final = re.compile(r" ?[ (.-]?(\d++)\)?", re.ASCII)
_DECIMAL: Final = re.compile(r"\+\d+\.\d+(?![.\d])", re.ASCII)
_ANNOUNCED_PHONE: Final = re.compile(
    NAME_START + r"(?:phone|mobile|telephone|tel|fax)(?:[ _-]?(?:number|no|nr))?"
    r"(?:\\*+[\"'])?\s{0,4}[:=#]\s{0,4}(?:\\*+[\"'])?"
    r"(\+?\d[\d ().-]{5,18}\d)(?!\w)",
    re.ASCII,
)


def phone(text: Text) -> Iterator[Range]:
    """Numbers written as phone numbers; ten digits in a row only where a word says what they are."""
    if not text.has_digits:
        return
    yield from _numbers(text, _NORTH_AMERICAN)
    for plus in text.positions("+"):
        if found := _international(text.raw, plus):
            yield found
    for word in ("phone", "mobile", "tel", "fax"):
        for start in text.positions(word, lower=True):
            if match := _ANNOUNCED_PHONE.match(text.lower, start):
                yield match.span(1)


def _international(raw: str, plus: int) -> Range | None:
    """A number from its + on: 8 to 15 digits (ITU-T E.164), and 11 in North America's plan."""
    begin = _INTERNATIONAL.match(raw, plus)
    digits, end = "", plus + 1
    while begin and (group := _GROUP.match(raw, end)) and len(digits) + len(group[1]) <= 15:
        digits, end = digits + group[1], group.end()
    fits = len(digits) == 11 if digits.startswith("1") else len(digits) >= 8
    return (plus, end) if fits and not _DECIMAL.match(raw, plus) else None


_CARD: Final = re.compile(NUMBER_START + r"[2-6](?:[ -]?\d){12,18}" + NUMBER_END, re.ASCII)


def card(text: Text) -> Iterator[Range]:
    """Payment cards: 13 to 19 digits that begin as card numbers do and pass the Luhn check."""
    for start, end in _numbers(text, _CARD):
        if luhn(re.sub(r"[ -]", "", text.raw[start:end])):
            yield start, end


_TEN_DIGITS: Final = re.compile(NUMBER_START + r"[12]\d{9}" + NUMBER_END, re.ASCII)
_SOCIAL_SECURITY: Final = re.compile(
    NUMBER_START + r"(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}" + NUMBER_END, re.ASCII
)
_ANNOUNCED_RECORD: Final = re.compile(
    NAME_START + r"(?:mrn|npi|ssn|(?:record|patient|subject|member)[ _-]?(?:number|num|no\.?|id|\#))"
    r"(?:(?:\\*+[\"'])?\s{0,4}[:=#]|\s{1,4}is\b|\s)\s{0,4}(?:\\*+[\"'])?"
    r"([a-z]{0,4}-?\d[a-z\d-]{2,19}\d)(?!\w|\.\d)",
    re.ASCII,
)


def record_number(text: Text) -> Iterator[Range]:
    """Numbers that name one person: NPI by its check digit, US social security, and what a word announces.

    An NPI is ten digits from 1 or 2, its Luhn digit computed with the prefix 80840 (45 CFR 162.406).
    """
    if not text.has_digits:
        return
    for start, end in _numbers(text, _TEN_DIGITS):
        if luhn(f"80840{text.raw[start:end]}"):
            yield start, end
    yield from _numbers(text, _SOCIAL_SECURITY)
    for word in ("mrn", "npi", "ssn", "record", "patient", "subject", "member"):
        for start in text.positions(word, lower=True):
            if match := _ANNOUNCED_RECORD.match(text.lower, start):
                yield match.span(1)
