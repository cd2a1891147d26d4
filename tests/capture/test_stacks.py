"""What an exception says, with all that it came from, and what of it may be stored beside private text."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from langgraph.types import Command, Send

import tierlens
from tests.capture.conftest import Capture
from tests.capture.graphs import State, graph, model
from tests.capture.test_privacy import QUESTION, policies, run
from tierlens import keys
from tierlens.capture import stacks
from tierlens.capture.shield import Shield
from tierlens.policy import AgentPolicy, Policies

SAID = "Wilhelmina Oberhuber of Winterthur has relapsed twice since June"


def with_a_cause(state: State) -> State:
    try:
        raise KeyError(SAID)
    except KeyError as cause:
        raise ValueError("could not be done") from cause


def with_a_context(state: State) -> State:
    try:
        raise KeyError(SAID)
    except KeyError:
        raise ValueError("could not be done")  # noqa: B904  # that is the case


def with_a_note(state: State) -> State:
    error = ValueError("could not be done")
    error.add_note(SAID)
    raise error


def in_a_group(state: State) -> State:
    raise ExceptionGroup("several", [ExceptionGroup("inner", [ValueError(SAID)]), KeyError("x")])


def behind_much_else(state: State) -> State:
    raise ValueError("more words " * 1_000 + SAID)


def in_the_code(state: State) -> State:
    model("fine").invoke(1_234 if "Wilhelmina Oberhuber of Winterthur" else "")  # type: ignore[arg-type]
    return {}


def in_code_that_does_not_parse(state: State) -> State:
    compile(f"x = '{SAID}' +", "<made>", "exec")
    return {}


FAILING = [
    with_a_cause,
    with_a_context,
    with_a_note,
    in_a_group,
    behind_much_else,
    in_the_code,
    in_code_that_does_not_parse,
]


@pytest.mark.parametrize("failing", FAILING)
def test_nothing_of_a_private_agents_error_is_told_around_it(capture_with: Any, failing: Callable[..., Any]) -> None:
    capture: Capture = capture_with(policies())
    inner = graph(private=failing).compile(name="inner")

    def public(state: State) -> State:
        try:
            inner.invoke(state)
        except Exception as error:
            raise RuntimeError("the inner graph failed") from error
        return {}

    with contextlib.suppress(RuntimeError):
        graph(public=public).compile(name="graph").invoke(QUESTION, capture.config())

    assert "huber" not in capture.journal.text()
    (told,) = [event for event in capture.journal.named("graph").events if event.name == "exception"]
    assert "in public" in str(told.attributes["exception.stacktrace"])
    assert f"in {failing.__name__}" in str(told.attributes["exception.stacktrace"])


def test_a_secret_in_pieces_is_in_no_line_of_code(capture_with: Any) -> None:
    capture: Capture = capture_with(Policies(defaults=AgentPolicy(redact=("secrets",))))

    def connecting(state: State) -> State:
        raise ConnectionError("postgresql://app:" + "hunter2-" + "y" + "@db/shop")

    with pytest.raises(ConnectionError):
        graph(node=connecting).compile(name="graph").invoke(QUESTION, capture.config())

    assert "hunter2" not in capture.journal.text()
    (told,) = capture.journal.named("node").events
    assert "ConnectionError: postgresql://app:[" not in str(told.attributes["exception.stacktrace"])
    assert "in connecting" in str(told.attributes["exception.stacktrace"])


def test_where_all_text_may_be_stored_so_may_the_lines_of_code(capture: Capture) -> None:
    def failing(state: State) -> State:
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        graph(node=failing).compile(name="graph").invoke(QUESTION, capture.config())

    (told,) = capture.journal.named("node").events
    assert 'raise ValueError("on purpose")' in str(told.attributes["exception.stacktrace"])


def test_what_it_sends_to_others_with_a_command_is_private(capture_with: Any) -> None:
    capture: Capture = capture_with(policies())
    built = graph(private=lambda state: Command(goto=Send("public", {"question": "q", "notes": [SAID]})))
    built.add_node("public", lambda state: {"notes": [f"I heard {state['notes']}"]})

    built.compile(name="graph").invoke(QUESTION, capture.config())

    assert "Oberhuber" not in capture.journal.text()
    assert "I heard ['<private>" in str(capture.attributes("public")[keys.OUTPUTS])


def test_text_is_no_name_of_a_key(capture_with: Any) -> None:
    capture: Capture = capture_with(policies())

    @tierlens.tool
    def count(visits: Mapping[str, int]) -> dict[str, Any]:
        return {SAID: len(visits), "visits": 2}

    run(
        capture,
        lambda state: {"notes": [next(iter(count({SAID: 1})))]},
        lambda state: {"notes": [state["notes"][0].upper(), f"and {state['notes'][0]}"]},
    )

    assert "Oberhuber" not in capture.journal.text()
    assert '"<key>":"<int>","visits":"<int>"' in str(capture.attributes("count"))


def test_the_log_quotes_nothing(capture_with: Any, caplog: pytest.LogCaptureFixture) -> None:
    capture: Capture = capture_with(policies(redact=("email",)))
    capture.recorder.shield = Shield(strict=False)

    def private(state: State) -> State:
        tierlens.artifact(SAID * 5, "x")
        tierlens.metric(SAID, float("nan"))
        tierlens.metric(SAID * 9, 1)
        tierlens.metric("anna@example.org", float("nan"))
        tierlens.link_prompt(SAID)
        return {"notes": [SAID]}

    def public(state: State) -> State:
        tierlens.artifact(state["notes"][0] * 5, "x")
        tierlens.metric(state["notes"][0], float("nan"))
        return {}

    with caplog.at_level(logging.DEBUG, "tierlens"):
        run(capture, private, public)

    assert len(caplog.records) >= 5
    assert "Oberhuber" not in caplog.text
    assert "anna@" not in caplog.text
    assert all(record.exc_info is None for record in caplog.records)


def test_a_log_has_the_words_of_the_operating_system_and_no_others(caplog: pytest.LogCaptureFixture) -> None:
    shield = Shield(strict=False)
    for error in (OSError(28, "No space left on device"), ValueError(SAID)):
        try:
            raise error
        except Exception as raised:
            shield.report("keeping a span", raised)

    first, second = (record.getMessage() for record in caplog.records)
    assert "in test_a_log_has_the_words" in first
    assert first.endswith("OSError: [Errno 28] No space left on device")
    assert second.endswith("\nValueError")


def test_errors_that_are_each_others_cause_are_read_once() -> None:
    one, other = ValueError("one"), KeyError("other")
    one.__cause__, other.__cause__ = other, one

    assert set(stacks.all_said(one)) == {"one", "other", "'other'"}
    assert "ValueError: one" in stacks.trace_back(one, sources=False)
