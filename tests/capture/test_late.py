"""What goes on after its trace has ended is still its agent's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig, RunnableLambda

from tests.capture.conftest import Capture
from tests.capture.graphs import State, graph, model
from tests.capture.test_privacy import QUESTION, SECRET, leaked, policies, say
from tierlens import keys, span
from tierlens.capture import ended, threads
from tierlens.policy import AgentPolicy, Keep, Policies

Work = Callable[[RunnableConfig], object]


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    threads.install()
    yield
    threads.uninstall()


@pytest.fixture
def capture(capture_with: Any) -> Capture:
    made: Capture = capture_with(policies())
    return made


def ask(config: RunnableConfig) -> object:
    return model(SECRET).invoke(SECRET, config)


@span("work")
def work(config: RunnableConfig) -> str:
    return SECRET


def outlive(capture: Capture, late: Work, *, node: str = "private", between: Any = None, **context: Any) -> str:
    """Run a graph whose node leaves ``late`` to a thread that begins when the graph has ended; the trace's id."""
    over = threading.Event()
    started: list[threading.Thread] = []

    def leave(state: State, config: RunnableConfig) -> State:
        def run() -> None:
            over.wait(10)
            late(config)

        started.append(threading.Thread(target=run))
        started[0].start()
        return {"notes": []}

    graph(**{node: leave}).compile(name="graph").invoke(QUESTION, capture.config(**context))
    trace_id = capture.journal.named("graph").trace_id
    if between is not None:
        between()
    over.set()
    started[0].join()
    return trace_id


def test_a_model_asked_with_the_nodes_config_is_below_the_node_and_keeps_its_policy(capture: Capture) -> None:
    trace_id = outlive(capture, ask, brand="Kisqali")
    late = capture.journal.named("Model")
    assert (late.trace_id, capture.parent("Model")) == (trace_id, "private")
    assert keys.TOKEN_USAGE in late.attributes
    assert capture.journal.routings[late.span_id].brand == "Kisqali"
    assert not leaked(capture)


def test_it_is_found_without_help_from_the_thread(capture: Capture) -> None:
    threads.uninstall()
    outlive(capture, ask)
    assert capture.parent("Model") == "private"
    assert not leaked(capture)


def test_a_task_that_nobody_awaits_is_below_its_node(capture: Capture) -> None:
    async def run() -> None:
        over = asyncio.Event()
        left: list[asyncio.Task[Any]] = []

        async def later() -> None:
            await over.wait()
            await model(SECRET).ainvoke(SECRET)

        async def leave(state: State) -> State:
            left.append(asyncio.create_task(later()))
            return {"notes": []}

        await graph(private=leave).compile(name="graph").ainvoke(QUESTION, capture.config())
        over.set()
        await left[0]

    asyncio.run(run())
    assert capture.parent("Model") == "private"
    assert len(capture.journal.roots()) == 1
    assert not leaked(capture)


def test_what_only_its_thread_ties_to_the_node_is_a_trace_of_its_own_and_says_whose(capture: Capture) -> None:
    trace_id = outlive(capture, work, brand="Kisqali", user="analyst", session="s1")
    late, node = capture.journal.named("work"), capture.journal.named("private")
    said = late.attributes
    assert late.trace_id != trace_id
    assert late.parent_id is None
    assert [(link.trace_id, link.span_id) for link in late.links] == [(trace_id, node.span_id)]
    assert (said[keys.AGENT], said[keys.USER], said[keys.SESSION]) == ("private", "analyst", "s1")
    assert capture.journal.routings[late.span_id].brand == "Kisqali"
    assert not leaked(capture)


def test_what_an_agent_may_say_it_may_say_late(capture: Capture) -> None:
    outlive(capture, ask, node="public")
    assert leaked(capture)


def test_what_a_trace_kept_private_is_kept_in_what_comes_late(capture: Capture) -> None:
    configs: list[RunnableConfig] = []

    def leave(state: State, config: RunnableConfig) -> State:
        configs.append(config)
        return {"notes": []}

    graph(private=say, plain=leave).compile().invoke(QUESTION, capture.config())
    graph(public=lambda state: {"notes": [SECRET]}).compile(name="inner").invoke({"question": SECRET}, configs[0])
    assert capture.journal.named("inner").parent_id is not None
    assert not leaked(capture)


def test_what_sampling_dropped_is_dropped_late(capture_with: Any) -> None:
    for keep in (Keep(), Keep(errors=True)):
        capture = capture_with(Policies(agents={"private": AgentPolicy(agent="private", sample=0.0, keep=keep)}))
        outlive(capture, ask)
        assert [one.name for one in capture.journal.spans.values()] == ["graph"]


def test_of_a_span_that_is_forgotten_nothing_is_said(capture: Capture) -> None:
    threads.uninstall()
    capture.recorder.ended = ended.Ended(most=1)

    def others() -> None:
        for _ in range(3):
            RunnableLambda(lambda x: x).with_config(run_name="other").invoke("x", capture.config())

    outlive(capture, ask, between=others)
    late = capture.journal.named("Model")
    assert late.parent_id is None
    assert not leaked(capture)


def test_what_was_started_in_a_run_that_was_never_recorded_says_all(capture: Capture) -> None:
    capture.recorder.ended = ended.Ended(most=1, clock_ns=lambda: 1)
    for _ in range(3):
        RunnableLambda(lambda x: x).invoke("x", capture.config())
    asked = model("Fine.").with_config(callbacks=[capture.callback()])
    (RunnableLambda(lambda x: x) | asked).invoke("Why?")
    assert "Why?" in str(capture.attributes("Model")[keys.INPUTS])


def test_few_are_remembered_of_a_trace_without_end(capture: Capture) -> None:
    capture.recorder.ended = ended.Ended(most=10)

    @span("root")
    def root() -> None:
        for _ in range(50):
            for _ in range(10):
                span("inner")(lambda: 1)()
            capture.recorder.record_starts(0)
        assert len(capture.recorder.ended.spans) < 10

    root()


def test_few_are_remembered() -> None:
    few = ended.Ended(most=10)
    for key in range(1_000):
        few.spans[key] = (str(key), AgentPolicy(), "", None, True)
        few.tidy()
    assert [few.find(key, "", ()) for key in range(900)] == [None] * 900
    assert len(few.spans) + len(few._older) <= 20
