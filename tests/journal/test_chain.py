"""A writer's segments read as one stream, as far as they can be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journal.spans import EXPERIMENT, span
from tierlens.journal import Journal
from tierlens.journal.chain import Chain
from tierlens.journal.reader import Record
from tierlens.spans import Routing

MakeChain = Callable[[], Chain]


def number(record: Record) -> int:
    return int(record.line.span, 16)


@pytest.fixture
def chain_of(tmp_path: Path) -> MakeChain:
    """Makes chains of nine lines, in several segments of one writer."""
    journal = Journal(tmp_path, resource={}, segment_bytes=1_500)
    for made in range(1, 10):
        journal.append(span(made, text="x" * 100), Routing(EXPERIMENT))
    end = journal.end()
    journal.close()

    def make() -> Chain:
        chain = Chain(tmp_path, end.writer, 0, 0)
        chain.look(tuple(range(1, end.segment + 1)), complete=True)
        return chain

    return make


def test_all_lines_come_one_by_one_each_from_its_segment(chain_of: MakeChain) -> None:
    chain = chain_of()

    found = [(chain.segment, record.start, number(record)) for record in chain.records(1)]

    assert [one for _, _, one in found] == list(range(1, 10))
    assert found == sorted(found)
    assert found[-1][0] == chain.numbers[-1] > 2


@pytest.mark.parametrize("about", [1, 1 << 20])
def test_lines_may_be_wanted_only_up_to_a_place(chain_of: MakeChain, about: int) -> None:
    chain = chain_of()
    places = {number(record): (chain.segment, record.start) for record in chain.records(1)}

    for first_unwanted, place in places.items():
        found = [number(record) for record in chain_of().records(about, before=place)]
        assert found == list(range(1, first_unwanted))


def test_nothing_is_read_where_nothing_is_wanted(chain_of: MakeChain) -> None:
    chain = chain_of()

    assert not list(chain.records(before=(0, 0)))
    assert chain.position == (0, 0)


def test_it_ends_at_a_segment_that_is_gone(tmp_path: Path, chain_of: MakeChain) -> None:
    chain = chain_of()
    (second,) = tmp_path.glob("*.000002.jsonl")
    second.unlink()

    assert {chain.segment for _ in chain.records()} == {1}
