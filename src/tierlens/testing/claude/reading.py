"""Picks the figures, sentences and names out of a prompt, so that answers can be made from them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_DIGITS: Final = r"\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?\s?%?"
_LABELLED: Final = re.compile(
    r"[\"']?\b([A-Za-z][A-Za-z0-9_ /-]{1,40}?)[\"']?\s*[:=]\s*[\"']?([-+]?[$€£]?" + _DIGITS + ")"
)
_NUMBER: Final = re.compile(r"(?<![\w.])[-+]?" + _DIGITS)
_FACT: Final = re.compile(r"^[ \t]*[-*•] +([^:\n]{2,60}): +(\S[^\n]{0,200})$", re.MULTILINE)
_NOTE: Final = re.compile(r"^\[([\w./#:-]+)\] +(\S[^\n]*)$", re.MULTILINE)
_HEADING: Final = re.compile(r"^[A-Z][\w ]{1,30}: +")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")
_ROLE: Final = re.compile(r"\bYou are ((?:an?|the|our) [^.\n;:]{3,90})", re.IGNORECASE)
_NAME: Final = re.compile(r"(?<![.!?\n] )(?<![\n\"'])(?<!^)\b[A-Z][\w'-]+(?: [A-Z][\w'-]+)*")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BETWEEN: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Figure:
    """A number as the text gives it: ``shown`` is how, ``label`` is "" where it stands alone."""

    label: str
    shown: str

    @property
    def value(self) -> float:
        """The number; of a percentage, the number before the sign."""
        return float(re.sub(r"[^-+0-9.e]", "", self.shown.lower()))

    @property
    def is_share(self) -> bool:
        """Whether it is a percentage."""
        return self.shown.endswith("%")


def labelled_figures(text: str) -> list[Figure]:
    """The ``label: number`` and ``label = number`` pairs of prose and JSON, in order, each label once."""
    found: dict[str, Figure] = {}
    for match in _LABELLED.finditer(text):
        label = words(match.group(1))
        found.setdefault(label, Figure(label, match.group(2).strip()))
    return list(found.values())


def numbers(text: str) -> list[Figure]:
    """Every number, in order."""
    return [Figure("", match.group().strip()) for match in _NUMBER.finditer(text)]


def listed_facts(text: str) -> list[tuple[str, str]]:
    """(label, value) of the list lines ``- label: value``, in order."""
    return _FACT.findall(text)


def notes(text: str) -> list[tuple[str, str]]:
    """(id, text) of the lines ``[id] text``, as retrieved documents are given to a model."""
    return _NOTE.findall(text)


def sentences(text: str) -> list[str]:
    """The sentences of prose; notes, facts and JSON are none, and a heading such as ``Question:`` is left out."""
    lines = (line.strip(" \t-*•") for line in _FACT.sub("", text).splitlines())
    prose = (_HEADING.sub("", line) for line in lines if line[:1].isalnum() and not _LABELLED.match(line))
    return [part for line in prose for part in _SENTENCE_END.split(line) if len(part) > 8]


def question(text: str) -> str:
    """The first sentence that asks something, or ""."""
    return next((sentence for sentence in sentences(text) if sentence.endswith("?")), "")


def names(text: str) -> list[str]:
    """Capitalised words and phrases that do not begin a sentence, in order."""
    return [match.group() for match in _NAME.finditer(text)]


def labelled_text(label: str, text: str) -> str | None:
    """What stands after ``label:`` or ``"label": "`` in ``text``, up to the next mark, or None."""
    spelled = "[ _-]?".join(map(re.escape, words(label).split()))
    value = r"([^\s\"',;{}\[\]](?:[^\"',;\n{}\[\].]|\.(?!\s|$))*)"
    match = re.search(rf"\b{spelled}[\"']?\s*[:=]\s*[\"']?{value}", text, re.IGNORECASE)
    return match.group(1).strip() if match else None


def role(system: str) -> str:
    """The role a system prompt gives ("the gap analyzer of …"), or ""."""
    match = _ROLE.search(system)
    return match.group(1).strip().rstrip(",") if match else ""


def words(text: str) -> str:
    """Lower-case words with single spaces: ``causal_confidence`` and ``causalConfidence`` become one text."""
    return _BETWEEN.sub(" ", _CAMEL.sub(" ", text)).strip().lower()


def plain(text: str) -> str:
    """``words(text)`` with a space at both ends, for :func:`mentions`."""
    return f" {words(text)} "


def mentions(plain_text: str, phrase: str) -> bool:
    """Whether the words of ``phrase`` stand in a :func:`plain` text, whole and in order."""
    wanted = words(phrase)
    return bool(wanted) and f" {wanted} " in plain_text


def overlap(plain_text: str, vocabulary: str, shortest: int) -> int:
    """How many words of ``vocabulary`` at least ``shortest`` letters long stand in ``plain_text``."""
    wanted = {word for word in words(vocabulary).split() if len(word) >= shortest}
    return len(wanted & set(plain_text.split()))


def listed(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return f"{', '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else "".join(items)
