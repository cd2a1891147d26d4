"""All lines of a journal as they come, whoever writes them: for those who look on and move nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tierlens.journal.chain import Chain
from tierlens.journal.codec import Line
from tierlens.journal.lock import is_orphan
from tierlens.journal.segment import lock_path, writers


@dataclass(frozen=True, slots=True)
class Written:
    """A line, and whose it is."""

    writer: str
    line: Line


class Follower:
    """Reads every writer's lines from the first one that is still there on, each once.

    Attributes:
        damaged: damaged lines passed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._chains: dict[str, Chain] = {}
        self._gone = 0

    @property
    def damaged(self) -> int:
        return self._gone + sum(chain.damaged for chain in self._chains.values())

    def read(self) -> Iterator[Written]:
        """What was written since the last call, each writer's lines in their order, one by one: there may be more
        than memory holds.

        Raises:
            OSError: the directory cannot be listed.
        """
        dead = {name for name in self._chains if self._is_dead(name)}
        found = {writer.name: writer.segments for writer in writers(self._directory)}
        for name, segments in found.items():
            chain = self._chains.setdefault(name, Chain(self._directory, name, 0, 0))
            chain.look(segments, name in dead)
        for name in sorted(self._chains):
            yield from self._new(name)
        for name in self._chains.keys() - found.keys():
            chain = self._chains.pop(name)
            self._gone += chain.damaged
            chain.close()

    def close(self) -> None:
        for chain in self._chains.values():
            chain.close()

    def _is_dead(self, name: str) -> bool:
        with suppress(OSError):
            return is_orphan(lock_path(self._directory, name))
        return False

    def _new(self, name: str) -> Iterator[Written]:
        chain = self._chains[name]
        # A loss of nothing is what an erased line has become.
        yield from (Written(name, r.line) for r in chain.records() if r.line.kind != "loss" or r.line.refused)
