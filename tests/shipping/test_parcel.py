"""Taking parcels apart loses nothing and halves what is left."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from tests.journal.spans import EXPERIMENT, ROUTING, span
from tierlens.journal.codec import decode, encode
from tierlens.shipping.entry import Destination, Entry, Group
from tierlens.shipping.parcel import Parcel, detached, halves, truncated_payload
from tierlens.sinks.base import Finish

DESTINATION = Destination(EXPERIMENT, b"{}")


def group(trace: int, sizes: list[int], rooted: bool = False) -> Group:
    made = Group(f"{trace:032x}", DESTINATION, 0.0)
    for number, size in enumerate(sizes):
        line = decode(encode(span(trace * 1_000 + number, trace=trace), ROUTING, b"{}")[:-1])
        made.add(Entry(line, "writer", (1, 0, 0), size))
    made.rooted = rooted
    return made


def ids(parcel: Parcel) -> list[str]:
    return [entry.line.span for entry in parcel.entries()]


sizes = st.lists(st.integers(1, 100_000), min_size=1, max_size=6)


@given(st.lists(sizes, min_size=1, max_size=6).filter(lambda traces: sum(map(len, traces)) > 1))
def test_halves_are_two_parts_of_the_whole(traces: list[list[int]]) -> None:
    whole = Parcel(DESTINATION, [group(trace, each) for trace, each in enumerate(traces)])

    first, second = halves(whole)

    assert ids(first) + ids(second) == ids(whole)
    assert first.spans
    assert second.spans
    largest = max(part.size for part in (whole.groups if len(whole.groups) > 1 else whole.entries()))
    assert abs(first.size - second.size) <= largest


def test_metrics_stay_with_the_half_that_has_their_root() -> None:
    finish = Finish(EXPERIMENT, f"{2:032x}", {})
    whole = Parcel(DESTINATION, [group(1, [10]), group(2, [10], rooted=True)], (finish,))

    first, second = halves(whole)

    assert (first.finishes, second.finishes) == ((), (finish,))


def test_metrics_can_be_sent_after_their_spans() -> None:
    finish = Finish(EXPERIMENT, f"{2:032x}", {})

    spans, metrics = detached(Parcel(DESTINATION, [group(2, [10], rooted=True)], (finish,)))

    assert (spans.spans, spans.finishes) == (1, ())
    assert (metrics.spans, metrics.finishes) == (0, (finish,))


def test_only_long_values_are_truncated() -> None:
    line = decode(encode(span(1, text="x" * 20_000), ROUTING, b"{}")[:-1])
    told = orjson.loads(line.payload)
    told["attributes"].append({"key": "short", "value": {"stringValue": "kept"}})
    told["attributes"].append({"key": "number", "value": {"intValue": "3"}})

    cut = orjson.loads(truncated_payload(orjson.dumps(told)))

    values = {attribute["key"]: attribute["value"] for attribute in cut["attributes"]}
    assert orjson.loads(values["mlflow.spanInputs"]["stringValue"])["bytes"] == 20_000
    assert values["short"] == {"stringValue": "kept"}
    assert values["number"] == {"intValue": "3"}
