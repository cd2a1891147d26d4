"""Redaction rules of one's own, ``name=pattern``: which patterns there may be, so that none can be slow.

A pattern is written in a part of Python's regular expressions: literal characters, ``\\d``, ``\\w``, ``\\s``,
``[A-Z]``, ``(?:one|other)``, and ``?``, ``{n}``, ``{n,m}`` behind any of them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

NAME: Final = r"[a-z][a-z0-9_]{0,39}"
MOST_WAYS: Final = 1_000
_RULE: Final = re.compile(rf"({NAME})=(.{{1,400}})", re.DOTALL)
_PIECE: Final = re.compile(
    r"(?P<open>\(\?:)|(?P<close>\))|(?P<or>\|)|(?P<most>\?|\{(?P<n>\d{1,3})(?:,(?P<m>\d{1,3}))?\})"
    r"|(?P<atom>\\[dws]|\\[^\w\s\"\\]|\[(?!\^)(?:\\[dws-]|[^\]\\\"])+\]|[^\\\[\](){}?*+^$|.\"])"
)
ALLOWED: Final = r"literal characters, \d, \w, \s, [A-Z], (?:one|other), and ?, {n} or {n,m} behind them"


def own_rule(rule: str) -> tuple[str, str] | None:
    """Name and pattern of a rule of one's own; None where ``rule`` is only a name."""
    match = _RULE.fullmatch(rule)
    return (match[1], match[2]) if match else None


def pattern_fault(pattern: str) -> str | None:
    """What is wrong with a pattern, as the end of a sentence, or None."""
    try:
        ways = _ways(pattern)
        empty = re.compile(pattern).match("") is not None
    except (ValueError, re.error) as error:
        return f"is not a pattern ({error}); it may have {ALLOWED}"
    if empty:
        return "matches the empty text"
    if ways > MOST_WAYS:
        return f"can match in more than {MOST_WAYS} ways, which would take long; repeat fewer parts, or fewer times"
    return None


@dataclass(slots=True)
class _Level:
    """What was read of one group: in how many ways its alternatives can match, and its last atom."""

    alternatives: int = 0
    before: int = 1
    atom: int | None = None

    def add(self, ways: int) -> None:
        self.before *= 1 if self.atom is None else self.atom
        self.atom = ways

    def end_alternative(self) -> int:
        self.add(1)
        self.alternatives, self.before, self.atom = self.alternatives + self.before, 1, None
        return self.alternatives


def _ways(pattern: str) -> int:
    """In how many ways a text can be tried against a pattern, at most."""
    levels, at = [_Level()], 0
    while at < len(pattern):
        piece = _PIECE.match(pattern, at)
        if piece is None:
            raise ValueError(f"at {pattern[at : at + 12]!r}")
        at = piece.end()
        _take(levels, piece)
    if len(levels) != 1:
        raise ValueError("a group is not closed")
    return levels[0].end_alternative()


def _take(levels: list[_Level], piece: re.Match[str]) -> None:
    level = levels[-1]
    if piece["open"]:
        levels.append(_Level())
    elif piece["close"]:
        if len(levels) == 1:
            raise ValueError("a group is closed that is not open")
        levels.pop()
        levels[-1].add(level.end_alternative())
    elif piece["or"]:
        level.end_alternative()
    elif piece["most"]:
        if level.atom is None:
            raise ValueError("a repetition of nothing")
        level.before *= _repeated(level.atom, piece)
        level.atom = None
    else:
        level.add(1)


def _repeated(ways: int, piece: re.Match[str]) -> int:
    least, most = (0, 1) if piece["n"] is None else (int(piece["n"]), int(piece["m"] or piece["n"]))
    if least > most:
        raise ValueError(f"{piece[0]} has its bounds the wrong way round")
    return sum(_power(ways, times) for times in range(least, most + 1))


def _power(ways: int, times: int) -> int:
    return ways**times if times * math.log10(ways) < 9 else 10**9
