"""Any value has a JSON text, and reading it never raises."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import hashlib
import json
import math
import subprocess
import sys
import time
import uuid
from collections import OrderedDict, UserDict, namedtuple
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel

from tests.capture.test_decorators import Hostile
from tierlens.capture import payload
from tierlens.capture.ledger import StateLedger
from tierlens.capture.state import as_state
from tierlens.policy import StatePolicy

TEXT = {"page_content": "text", "metadata": {"source": "s"}}
anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.datetimes(), st.uuids(),
        st.decimals(), st.builds(Hostile), st.builds(object), st.complex_numbers(),
        st.text(st.characters(categories=["Cs"]), max_size=3),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3) | st.integers() | st.none() | st.binary(max_size=2), inner, max_size=3),
    ),
    max_leaves=10,
)  # fmt: skip


@given(anything)
def test_every_value_has_one(value: Any) -> None:
    json.loads(payload.dumps(value))
    json.loads(payload.dumps(payload.masked(value)))
    assert isinstance(payload.text(value), str)
    assert isinstance(payload.shape(value), str)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        max_leaves=20,
    )
)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    assert json.loads(payload.dumps(value)) == value


class Colour(enum.Enum):
    RED = "red"


class Model(BaseModel):
    name: str


@dataclasses.dataclass
class Record:
    name: str


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (Model(name="x"), {"name": "x"}),
        (Record("x"), {"name": "x"}),
        (Pair(1, 2), {"a": 1, "b": 2}),
        (Colour.RED, "red"),
        (OrderedDict(a=1), {"a": 1}),
        (UserDict(a=1), {"a": 1}),
        ({3, 1}, [1, 3]),
        (b"abc", "<3 bytes>"),
        (math.nan, None),
        (2**70, str(2**70)),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00Z"),
        (np.arange(3), [0, 1, 2]),
        (np.float32(0.5), 0.5),
        (HumanMessage("hi"), {"role": "user", "content": "hi"}),
        (AIMessage("hi", name="bot"), {"role": "assistant", "content": "hi", "name": "bot"}),
        (Document("text", id="d1", metadata={"source": "s"}), TEXT | {"id": "d1"}),
        # Of one source there may be many documents.
        (Document("text", metadata={"source": "s"}), TEXT | {"id": "s#1e1d0f251d3a"}),
        ({1: "a", None: "b"}, {"1": "a", "null": "b"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_known_kinds_stand_there_as_people_expect(value: Any, stored: Any) -> None:
    assert json.loads(payload.dumps(value)) == stored


def test_numpy_stays_out_of_an_agent_that_does_without_it() -> None:
    code = "import sys; from tierlens.capture import payload; payload.encode(object()); print('numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert out.stdout == "False\n"


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (np.array(["2024-01-01", "NaT"], "M8[ns]"), ["2024-01-01T00:00:00", None]),
        (np.arange(6).reshape(2, 3).T, [[0, 3], [1, 4], [2, 5]]),
        (np.array(1.5), 1.5),
        (np.arange(3, dtype=">i4"), [0, 1, 2]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([1, "a", None], object), [1, "a", None]),
        (np.longdouble(0.5), 0.5),
        (np.timedelta64(3, "s"), "3 seconds"),
        (np.ma.masked_array([1, 2], [False, True]), [1, None]),
        (np.zeros((200, 200)), "<ndarray (200, 200) of float64>"),
        # Beside what JSON cannot hold.
        ({"odd": 2**70, "score": np.float32(0.5)}, {"odd": str(2**70), "score": 0.5}),
        ({np.int64(1): np.int64(2), "\ud800": np.array([1])}, {"1": 2, "?": [1]}),
    ],
    ids=repr,
)
def test_what_numpy_counts_is_stored_as_numbers(value: Any, stored: Any) -> None:
    assert json.loads(payload.dumps(value)) == stored


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("number", [np.float64, np.float32, np.int64])
def test_many_of_numpys_numbers_cost_about_what_pythons_do_and_look_the_same(kind: Any, number: Any) -> None:
    def stored(values: Any) -> tuple[float, bytes]:
        began = time.process_time()
        encoded = StateLedger().outputs({"scores": values}, StatePolicy(), brief=False)
        return time.process_time() - began, encoded

    theirs = kind(number(n) for n in range(100_000))
    ours = kind(one.item() for one in theirs)
    assert stored(theirs)[1] == stored(ours)[1]
    # One by one they cost a hundred times as much.
    assert min(stored(theirs)[0] for _ in range(3)) < 20 * min(stored(ours)[0] for _ in range(3))


def test_an_object_that_has_all_attributes_there_are_is_not_asked_for_any() -> None:
    mock = MagicMock(name="client")
    payload.dumps({"client": mock, "more": [mock]})
    as_state(mock)
    assert mock.mock_calls == []
    assert set(vars(mock)["_mock_children"]) == set()


def test_what_has_no_json_form_is_told_in_words() -> None:
    assert json.loads(payload.dumps(pd.DataFrame({"a": [1, 2]}))) == "<DataFrame (2, 1)>"
    assert json.loads(payload.dumps(decimal.Decimal("1.5"))) == "Decimal('1.5')"
    assert json.loads(payload.dumps(Hostile())).startswith("<")


def test_cycles_depth_and_length_have_an_end() -> None:
    round_: list[Any] = []
    round_.append(round_)
    assert json.loads(payload.dumps(round_)) == ["<cycle>"]
    deep: Any = "bottom"
    for _ in range(2_000):
        deep = [deep]
    assert "below depth" in payload.dumps(deep)
    assert json.loads(payload.dumps([math.nan, *range(5_000), 2**70]))[-1] == "<3002 more>"


def test_a_cut_tells_what_was_cut() -> None:
    encoded = payload.encode("x" * 100)
    cut = json.loads(payload.capped(encoded, 10))
    assert cut == {"$cut": {"bytes": 102, "sha256": hashlib.sha256(encoded).hexdigest()}, "head": '"' + "x" * 9}
    assert payload.capped(encoded, 102) == encoded


def test_masking_leaves_keys_kinds_and_sizes() -> None:
    masked = payload.masked({"question": "secret", "n": 3, "rows": ["secret"], "flag": True, ("secret",): 1})
    assert masked == {
        "question": "<text, 6 characters>",
        "n": "<int>",
        "rows": "<1 items>",
        "flag": "<bool>",
        "<key>": "<int>",
    }
    assert payload.masked([HumanMessage("secret"), "secret"]) == [
        {"role": "user", "content": "<text, 6 characters>"},
        "<text, 6 characters>",
    ]
