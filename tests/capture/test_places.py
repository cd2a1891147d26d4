"""A trace has one brand: whoever gives another inside it hears of it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.capture.conftest import Capture
from tests.capture.graphs import State, graph
from tierlens import span
from tierlens.capture.callback import MlflowCallbackHandler
from tierlens.capture.current import using
from tierlens.capture.paths import lookup
from tierlens.capture.trace import Context
from tierlens.policy import Policies

inner = graph(innermost=lambda state: {"notes": ["fine"]}).compile(name="inner")


def run(capture: Capture, work: Callable[[], object]) -> None:
    def node(state: State) -> State:
        work()
        return {"notes": []}

    graph(node=node).compile(name="outer").invoke({"question": "Why?"}, capture.config(brand="Kisqali"))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def called(capture: Capture, brand: str) -> Any:
    return lambda: inner.invoke({"question": "Why?"}, capture.config(brand=brand))


def attached(capture: Capture, brand: str) -> Any:
    def brand_of(inputs: object) -> str | None:
        return str(lookup({"inputs": inputs}, "inputs.question"))

    handler = MlflowCallbackHandler(capture.recorder, Context(), capture.pauses, brand_of)
    return lambda: inner.with_config(callbacks=[handler]).invoke({"question": brand})


def decorated(capture: Capture, brand: str) -> Any:
    def work() -> None:
        with using(Context(brand=brand)):
            span("inner")(lambda: 1)()

    return work


WAYS: Any = pytest.mark.parametrize("way", [called, attached, decorated])


@WAYS
def test_another_brand_inside_a_trace_is_said_once_and_the_roots_holds(
    capture: Capture, caplog: pytest.LogCaptureFixture, way: Any
) -> None:
    for _ in range(2):
        run(capture, way(capture, "Fabhalta"))
    (said,) = warnings(caplog)
    assert "'Fabhalta' is recorded under 'Kisqali'" in said
    assert {routing.brand for routing in capture.journal.routings.values()} == {"Kisqali"}
    assert len(capture.journal.roots()) == 2


@WAYS
def test_of_the_same_brand_nothing_is_said(capture: Capture, caplog: pytest.LogCaptureFixture, way: Any) -> None:
    run(capture, way(capture, "Kisqali"))
    assert warnings(caplog) == []


def test_nor_where_both_names_stand_for_the_default(capture_with: Any, caplog: pytest.LogCaptureFixture) -> None:
    capture: Capture = capture_with(Policies(brands=("Remibrutinib",), default_brand="Remibrutinib"))
    run(capture, called(capture, "Fabhalta"))
    assert warnings(caplog) == []


def test_a_brand_that_is_rejected_does_not_keep_its_call_from_the_trace(
    capture_with: Any, caplog: pytest.LogCaptureFixture
) -> None:
    capture: Capture = capture_with(Policies(brands=("Kisqali",), unknown_brand="reject"))
    run(capture, attached(capture, "Fabhalta"))
    assert len(warnings(caplog)) == 1
    assert capture.parent("inner") == "node"


def test_a_handler_beside_the_traces_own_is_heard_as_well(capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
    handlers = [capture.callback(brand=brand) for brand in ("Kisqali", "Fabhalta")]
    run(capture, functools.partial(inner.invoke, {"question": "Why?"}, {"callbacks": handlers}))
    assert len(warnings(caplog)) == 1
