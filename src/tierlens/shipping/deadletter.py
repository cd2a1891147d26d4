"""Spans that no sink would take: kept whole beside the journal, tried again for a while, and never thrown
away.

``dead-letter/<trace>-<span>[.metrics|.run].jsonl`` has two lines: what happened, as JSON, and the journal line
itself.

    {"v":1,"reason":"rejected","status":400,"detail":"…","tries":3,"first_ns":…,"last_ns":…,"final":false,
     "writer":"…","part":"span","whose":{"user":"…","session":"…"}}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import orjson

from tierlens import presence
from tierlens.errors import DamagedLine
from tierlens.journal.codec import Line, decode, encode_line
from tierlens.journal.segment import DEAD_LETTER, create_directory, replace_durably

Part = Literal["span", "metrics", "run"]

_UNSAFE: Final = re.compile(r"[^0-9A-Za-z_-]")


@dataclass(frozen=True, slots=True)
class Letter:
    """Why a span could not be delivered.

    Attributes:
        reason: rejected | unavailable | too_large.
        status: the sink's last answer, or 0.
        tries: how often it was sent on its own.
        first_ns, last_ns: Unix time of the first and of the last try.
        final: it is not tried again. A ``too_large`` letter is the whole of a span that was stored truncated.
        writer: whose journal it came from.
        part: the whole span; or, the span being stored, only its metrics and files, or what it says to a run.
        whose: the user and the session of its trace, as far as they are known, which inner spans do not name: what is
            to be forgotten of somebody is found by them, also in a copy of the folder.
    """

    reason: str
    status: int
    detail: str
    tries: int
    first_ns: int
    last_ns: int
    final: bool
    writer: str
    part: Part = "span"
    whose: Mapping[str, str] = field(default_factory=dict)


class DeadLetters:
    """The dead-letter folder of one journal."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / DEAD_LETTER

    def put(self, line: Line, letter: Letter) -> str:
        """Keep a line durably, counting on from an earlier letter for it; returns the letter's name.

        Raises:
            OSError: it could not be written.
        """
        create_directory(self.directory)
        name = _name(line, letter.part)
        earlier = self._facts(name)
        if earlier is not None:
            whose = {**earlier.whose, **letter.whose}
            letter = replace(letter, tries=earlier.tries + letter.tries, first_ns=earlier.first_ns, whose=whose)
        content = orjson.dumps({"v": 1} | asdict(letter)) + b"\n" + encode_line(line)
        replace_durably(self.directory / name, content)
        return name

    def update(self, name: str, letter: Letter) -> None:
        """Put other facts before the same line."""
        _, _, line = (self.directory / name).read_bytes().partition(b"\n")
        replace_durably(self.directory / name, orjson.dumps({"v": 1} | asdict(letter)) + b"\n" + line)

    def names(self) -> list[str]:
        """All letters, by name."""
        try:
            return sorted(path.name for path in self.directory.iterdir() if path.suffix == ".jsonl")
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, name: str) -> tuple[Letter, Line]:
        """One letter.

        Raises:
            OSError, DamagedLine: it is gone, or damaged.
        """
        facts, _, line = (self.directory / name).read_bytes().partition(b"\n")
        return _letter(facts), decode(line.rstrip(b"\n"))

    def holds(self, line: Line) -> bool:
        """Whether there is a letter for the whole span."""
        return presence.exists(self.directory / _name(line, "span"))

    def all(self) -> Iterator[tuple[str, Letter, Line]]:
        """Every letter that can be read."""
        for name in self.names():
            try:
                letter, line = self.read(name)
            except (OSError, DamagedLine):
                continue
            yield name, letter, line

    def restore(self, name: str, line: Line, now_ns: int) -> None:
        """Write a damaged letter anew, with its line as it was, and why it is there, if that can still be read.

        Raises:
            OSError: it could not be written.
        """
        path = self.directory / name
        facts, _, _ = path.read_bytes().partition(b"\n")
        try:
            letter = _letter(facts)
        except DamagedLine:
            letter = Letter("rejected", 0, "why cannot be read any more", 1, now_ns, now_ns, final=False, writer="")
        replace_durably(path, orjson.dumps({"v": 1} | asdict(letter)) + b"\n" + encode_line(line))

    def remove(self, name: str) -> None:
        (self.directory / name).unlink(missing_ok=True)

    def _facts(self, name: str) -> Letter | None:
        try:
            return self.read(name)[0]
        except (OSError, DamagedLine):
            return None


def _name(line: Line, part: Part) -> str:
    suffix = "" if part == "span" else f".{part}"
    ids = (_UNSAFE.sub("_", text)[:64] for text in (line.trace, line.span))
    return f"{'-'.join(ids)}{suffix}.jsonl"


def _letter(facts: bytes) -> Letter:
    try:
        found = orjson.loads(facts)
        del found["v"]
        return Letter(**found | {"whose": dict(found.get("whose", ()))})
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedLine(f"not a letter: {error}") from error
