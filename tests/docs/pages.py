"""The documentation as a reader meets it: pages, their sections, and the fenced blocks in them.

What a block needs beyond its text stands in an HTML comment right above it:

    <!-- given: graph, inputs -->    names the reader is assumed to have; tests/docs/given.py makes them
    <!-- output -->                  what the block before printed; … stands for anything
    <!-- exit: 1 -->                 the exit status of a bash block, where that is not 0
    <!-- not run: why -->            the only way not to be run; the reason is required
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
RUN: Final = frozenset({"python", "bash"})
WRITTEN: Final = frozenset({"yaml", "dotenv"})
SHOWN: Final = frozenset({"text", "json", "mermaid"})
MARKS: Final = frozenset({"given", "output", "exit", "not run"})

_MARK: Final = re.compile(r"<!-- ([a-z ]+?)(?:: (.+?))? -->")
_FILE: Final = re.compile(r"# (\.env|[\w./-]+\.(?:py|yaml))")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        line: of its first line of text, from 1.
        marks: the comments above it, by name; "" where one has no value.
    """

    page: Path
    section: str
    line: int
    language: str
    text: str
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that the reader is to write, where the first line is a comment that names one."""
        named = _FILE.fullmatch(self.text.partition("\n")[0])
        return named[1] if named else None


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    section, marks = "", dict[str, str]()
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        if line.startswith("```"):
            text = _until_fence(lines, f"{page}:{number}")
            yield Block(page, section, number + 1, line.removeprefix("```"), text, marks)
            marks = {}
        elif mark := _MARK.fullmatch(line):
            marks[mark[1]] = mark[2] or ""
        elif line.strip():
            marks = {}
            section = line.removeprefix("## ") if line.startswith("## ") else section


def _until_fence(lines: Iterator[tuple[int, str]], where: str) -> str:
    text = []
    for _, line in lines:
        if line == "```":
            return "".join(f"{one}\n" for one in text)
        text.append(line)
    raise ValueError(f"{where}: this block is not closed")


def sections() -> Sequence[Sequence[Block]]:
    """The blocks of each section that has something to run: what a reader does there from top to bottom."""
    grouped: dict[tuple[Path, str], list[Block]] = {}
    for page in PAGES:
        for block in blocks(page):
            grouped.setdefault((page, block.section), []).append(block)
    return [found for found in grouped.values() if any(block.language in RUN for block in found)]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def table(page: Path, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    text = page.read_text(encoding="utf-8")
    _, _, below = text.partition(f"\n{heading}\n")
    rows = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    found = rows[0].splitlines()[2:] if rows else []
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in found]
