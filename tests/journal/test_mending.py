"""A line that one flipped bit has damaged is found out again."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.journal.spans import ROOT, ROUTING, routings, span, spans
from tierlens.errors import DamagedLine
from tierlens.journal.codec import decode, encode, encode_resource
from tierlens.journal.mending import damages, mended

RESOURCE = encode_resource({"service.name": "app"})


def flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


@settings(max_examples=150)
@given(made=spans, routing=routings, where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_in_a_line_is_mended(made, routing, where, bit):
    line = encode(made, routing, RESOURCE).rstrip(b"\n")

    assert mended(flipped(line, int(where * len(line)), bit)) == [decode(line)]


def test_two_wrong_bytes_are_not_guessed_at():
    line = encode(span(1, text="abc" * 50), ROUTING, RESOURCE).rstrip(b"\n")

    assert mended(flipped(flipped(line, 200, 1), 300, 2)) == []


def test_a_line_cut_short_is_not_mended():
    line = encode(span(1, text="abc" * 50), ROUTING, RESOURCE)

    assert mended(line[:200]) == []


@settings(max_examples=150)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_segment_with_one_flipped_bit_loses_nothing(where, bit):
    lines = [encode(span(number, text="x" * number), ROOT, RESOURCE) for number in range(1, 5)]
    content = b"".join(lines)

    found = list(damages(flipped(content, int(where * len(content)), bit), final=True))

    whole = {decode(line.rstrip(b"\n")).span for line in lines}
    assert {line.span for damage in found for line in mended(damage.raw)} <= whole
    left = flipped(content, int(where * len(content)), bit)
    for damage in found:
        left = left.replace(damage.raw, b"")
    undamaged = {line.span for line in lines_of(left)}
    assert undamaged | {line.span for damage in found for line in mended(damage.raw)} == whole


def lines_of(content: bytes):
    for raw in content.replace(b'{"tierlens":{"v":1', b'\n{"tierlens":{"v":1').split(b"\n"):
        for length in (len(raw), len(raw) - 1):
            try:
                yield decode(raw[:length])
                break
            except DamagedLine:
                continue


def test_an_undamaged_segment_has_no_damage():
    content = b"".join(encode(span(number), ROUTING, RESOURCE) for number in range(5))

    assert list(damages(content + b"\n\n", final=True)) == []


def test_what_a_living_writer_has_not_finished_is_no_damage():
    line = encode(span(1), ROUTING, RESOURCE)

    assert list(damages(line + line[:50], final=False)) == []
    assert [damage.offset for damage in damages(line + line[:50], final=True)] == [len(line)]
