"""A decorated function behaves as it did, and its calls are spans."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
import json
import types
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from langchain_core.documents import Document

import tierlens
from tests.capture.conftest import Capture
from tests.capture.graphs import State, graph, model
from tierlens import keys
from tierlens.capture import active
from tierlens.capture.current import using
from tierlens.capture.trace import Context
from tierlens.policy import AgentPolicy, MetricRule, Policies

KINDS = {
    tierlens.agent: "AGENT",
    tierlens.span: "CHAIN",
    tierlens.tool: "TOOL",
    tierlens.retriever: "RETRIEVER",
    tierlens.reranker: "RERANKER",
}


def read(capture: Capture, name: str, key: str) -> Any:
    return json.loads(capture.attributes(name)[key])


@pytest.mark.parametrize("decorator", KINDS)
def test_each_decorator_makes_its_kind_of_span(capture: Capture, decorator: Any) -> None:
    @decorator
    def bare() -> None: ...

    @decorator()
    def called() -> None: ...

    @decorator("by name")
    def named() -> None: ...

    for function in (bare, called, named):
        function()
    names = {span.name: span.attributes[keys.SPAN_TYPE] for span in capture.journal.spans.values()}
    assert names == dict.fromkeys(("bare", "called", "by name"), KINDS[decorator])


def test_arguments_go_in_by_name_and_the_result_comes_out(capture: Capture) -> None:
    @tierlens.span("outer")
    def outer() -> int:
        return add(1, b=2)

    @tierlens.span
    def add(a: int, b: int, *rest: int, scale: int = 1, **more: int) -> int:
        return a + b

    assert outer() == 3
    assert read(capture, "add", keys.INPUTS) == {"a": 1, "b": 2}
    assert read(capture, "add", keys.OUTPUTS) == 3
    assert capture.parent("add") == "outer"


def test_methods_of_every_kind_are_recorded_without_self(capture: Capture) -> None:
    class Model:
        @tierlens.span
        def method(self, x: int) -> tuple[Any, int]:
            return self, x

        @tierlens.span
        @classmethod
        def inside(cls, x: int) -> tuple[Any, int]:
            return cls, x

        @classmethod
        @tierlens.span
        def outside(cls, x: int) -> tuple[Any, int]:
            return cls, x

        @tierlens.span
        @staticmethod
        def static(x: int) -> int:
            return x

    made = Model()
    assert made.method(1) == (made, 1)
    assert made.inside(1) == Model.inside(1) == (Model, 1)
    assert Model.outside(x=1) == (Model, 1)
    assert made.static(1) == 1
    for span in capture.journal.spans.values():
        assert json.loads(str(span.attributes[keys.INPUTS]))["x"] == 1
        assert "self" not in str(span.attributes[keys.INPUTS])


def test_nesting_and_recursion_are_told(capture: Capture) -> None:
    @tierlens.span
    def count(n: int) -> int:
        return n if n == 0 else count(n - 1)

    count(3)
    depth = {
        span.span_id: json.loads(str(span.attributes[keys.INPUTS]))["n"] for span in capture.journal.spans.values()
    }
    parents = {depth[s.span_id]: depth.get(s.parent_id or "") for s in capture.journal.spans.values()}
    assert parents == {3: None, 2: 3, 1: 2, 0: 1}


def ways() -> dict[str, Callable[[], Any]]:
    """Functions of every kind, each with all that it can do."""

    def plain(x: int = 1) -> int:
        """Doc."""
        if x < 0:
            raise ValueError("negative")
        return x

    async def coroutine(x: int = 1) -> int:
        await asyncio.sleep(0)
        return plain(x)

    def generator(x: int = 1) -> Iterator[Any]:
        got: list[Any] = []
        try:
            while len(got) < 5:
                try:
                    got.append((yield plain(x) + len(got)))
                except KeyError as error:
                    got.append(repr(error))
        finally:
            got.append("closed")
        return got

    async def async_generator(x: int = 1) -> AsyncIterator[Any]:
        got: list[Any] = []
        while len(got) < 5:
            await asyncio.sleep(0)
            try:
                got.append((yield plain(x) + len(got)))
            except KeyError as error:
                got.append(repr(error))

    return {one.__name__: one for one in (plain, coroutine, generator, async_generator)}


@pytest.mark.parametrize("way", ways())
@pytest.mark.parametrize("decorator", KINDS)
def test_what_inspect_says_of_a_function_stays(decorator: Any, way: str) -> None:
    function = ways()[way]
    decorated = decorator(function)
    for ask in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        assert ask(decorated) == ask(function)
    assert inspect.signature(decorated) == inspect.signature(function)
    assert (decorated.__name__, decorated.__qualname__, decorated.__doc__, decorated.__module__) == (
        function.__name__,
        function.__qualname__,
        function.__doc__,
        function.__module__,
    )


def drive(make: Callable[..., Iterator[Any]]) -> list[Any]:
    """Everything that can be done with a generator, and what came of it."""
    log: list[Any] = []
    steps = make(10)
    log.append(next(steps))
    log.append(steps.send("sent"))  # type: ignore[attr-defined]  # a generator
    log.append(steps.throw(KeyError("thrown")))  # type: ignore[attr-defined]  # a generator
    log.append(list(steps))
    first = make(20)
    log.append([next(first), next(first)])
    log.append(first.close())  # type: ignore[attr-defined]  # a generator
    log.append(list(first))
    for broken in (make(-1), make(1)):
        try:
            log.append(next(broken))
            log.append(broken.throw(OSError("not caught")))  # type: ignore[attr-defined]  # a generator
        except (ValueError, OSError) as error:
            log.append(repr(error))
    result = make(1)
    while True:
        try:
            next(result)
        except StopIteration as stop:
            log.append(stop.value)
            return log


def test_a_generator_yields_takes_throws_closes_and_returns_as_it_did(capture: Capture) -> None:
    function: Any = ways()["generator"]
    assert drive(tierlens.span("steps")(function)) == drive(function)
    assert sorted(capture.outcomes("steps")) == ["abandoned", "error", "error", "ok", "ok"]


async def adrive(make: Callable[..., Any]) -> list[Any]:
    log: list[Any] = []
    steps = make(10)
    log.append(await anext(steps))
    log.append(await steps.asend("sent"))
    log.append(await steps.athrow(KeyError("thrown")))
    log.append([item async for item in steps])
    first = make(20)
    log.append([await anext(first), await anext(first)])
    log.append(await first.aclose())
    log.append([item async for item in first])
    for broken in (make(-1), make(1)):
        try:
            log.append(await anext(broken))
            log.append(await broken.athrow(OSError("not caught")))
        except (ValueError, OSError) as error:
            log.append(repr(error))
    return log


async def test_an_async_generator_does_as_well(capture: Capture) -> None:
    function: Any = ways()["async_generator"]
    assert await adrive(tierlens.span("steps")(function)) == await adrive(function)
    assert sorted(capture.outcomes("steps")) == ["abandoned", "error", "error", "ok"]


def test_what_a_generator_yielded_is_its_output(capture: Capture) -> None:
    assert list(tierlens.span("words")(lambda: (yield from ("a", "b", "c")))()) == ["a", "b", "c"]
    assert list(tierlens.span("numbers")(lambda: (yield from range(3)))()) == [0, 1, 2]
    (words,) = [span for span in capture.journal.spans.values() if span.name == "words"]
    assert json.loads(str(words.attributes[keys.OUTPUTS]))["value"] == "abc"
    assert read(capture, "numbers", keys.OUTPUTS) == [0, 1, 2]


def test_a_coroutine_that_is_closed_from_another_context_is_abandoned(capture: Capture) -> None:
    @types.coroutine
    def pause() -> Iterator[None]:
        yield

    @tierlens.span
    async def waits() -> None:
        await pause()

    waiting = waits()
    contextvars.Context().run(waiting.send, None)

    contextvars.Context().run(waiting.close)

    assert capture.outcomes("waits") == ["abandoned"]


def test_a_generator_that_is_never_finished_is_abandoned(capture: Capture) -> None:
    @tierlens.span("steps")
    def steps() -> Iterator[int]:
        yield from range(3)

    @tierlens.span("outer")
    def outer() -> int:
        return next(steps())

    assert outer() == 0
    gc.collect()
    assert capture.outcomes("steps") == ["abandoned"]


def test_between_its_steps_a_generator_is_nobodys_parent(capture: Capture) -> None:
    @tierlens.span("steps")
    def steps() -> Iterator[int]:
        work("inside")
        yield 1
        work("inside")
        yield 2

    work = tierlens.span("work")(lambda where: where)

    @tierlens.span("outer")
    def outer() -> None:
        for _ in steps():
            work("outside")

    outer()
    spans = capture.journal.spans
    where = [
        (json.loads(str(s.attributes[keys.OUTPUTS])), spans[s.parent_id or ""].name)
        for s in spans.values()
        if s.name == "work"
    ]
    assert sorted(where) == [("inside", "steps")] * 2 + [("outside", "outer")] * 2


@pytest.mark.parametrize("way", ["plain", "coroutine"])
def test_an_exception_passes_through_and_is_told(capture: Capture, way: str) -> None:
    function = tierlens.span("broken")(ways()[way])
    with pytest.raises(ValueError, match="negative"):
        asyncio.run(function(-1)) if way == "coroutine" else function(-1)
    assert capture.outcomes("broken") == ["error"]


def test_a_call_that_does_not_fit_fails_as_it_did(capture: Capture) -> None:
    with pytest.raises(TypeError, match="unexpected keyword"):
        tierlens.span("plain")(ways()["plain"])(1, y=2)  # type: ignore[call-arg]  # on purpose
    assert capture.outcomes("plain") == ["error"]


async def test_concurrent_tasks_keep_their_own_children(capture: Capture) -> None:
    @tierlens.span("child")
    async def child(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @tierlens.span("parent")
    async def parent(n: int) -> int:
        await asyncio.gather(child(n), child(n))
        return n

    await asyncio.gather(*map(parent, range(4)))
    spans = capture.journal.spans
    for one in spans.values():
        if one.name == "child":
            above = spans[one.parent_id or ""]
            assert (
                json.loads(str(above.attributes[keys.INPUTS]))["n"] == json.loads(str(one.attributes[keys.INPUTS]))["n"]
            )


def test_callables_that_are_no_functions_can_be_decorated(capture: Capture) -> None:
    class Adder:
        def __call__(self, x: int) -> int:
            return x + 1

    assert tierlens.span(Adder())(1) == 2
    assert tierlens.span("partial")(functools.partial(int, base=2))("11") == 3
    assert tierlens.span(functools.partial(int, base=2))("11") == 3
    assert tierlens.span("builtin")(len)("abc") == 3
    assert tierlens.span(dict)(a=1) == {"a": 1}
    assert {span.name for span in capture.journal.spans.values()} == {
        "Adder",
        "partial",
        "int",
        "builtin",
        "dict",
    }


async def test_so_can_callables_whose_call_is_asynchronous(capture: Capture) -> None:
    class Adder:
        async def __call__(self, x: int) -> int:
            await asyncio.sleep(0)
            return x + 1

    assert await tierlens.span(Adder())(1) == 2
    assert read(capture, "Adder", keys.OUTPUTS)["value"] == 2


def test_what_is_no_callable_is_refused() -> None:
    with pytest.raises(TypeError, match="takes a function or a name, not int"):
        tierlens.span(3)  # type: ignore[call-overload]  # on purpose


def test_a_graph_called_inside_is_part_of_the_call(capture: Capture) -> None:
    compiled = graph(node=lambda state: {"notes": [model("x").invoke("y").text]}).compile(name="graph")
    tierlens.span("outer")(lambda: compiled.invoke({"question": "?"}, capture.config()))()
    assert (capture.parent("graph"), capture.parent("node")) == ("outer", "graph")
    assert len(capture.journal.roots()) == 1


def test_inside_a_node_a_call_belongs_to_the_node_and_what_it_calls_to_it(capture: Capture) -> None:
    llm = model("x")

    @tierlens.span("helper")
    def helper() -> str:
        return llm.invoke("y").text

    def node(state: State) -> State:
        return {"notes": [helper(), llm.invoke("z").text]}

    graph(node=node).compile(name="graph").invoke({"question": "?"}, capture.config())
    spans = capture.journal.spans
    models = [spans[one.parent_id or ""].name for one in spans.values() if one.name == "Model"]
    assert models == ["helper", "node"]
    assert capture.parent("helper") == "node"


async def test_so_it_is_in_async_nodes(capture: Capture) -> None:
    llm = model("x")

    @tierlens.span("helper")
    async def helper() -> str:
        return (await llm.ainvoke("y")).text

    async def node(state: State) -> State:
        first, second = await asyncio.gather(helper(), llm.ainvoke("z"))
        return {"notes": [first, second.text]}

    await graph(node=node).compile(name="graph").ainvoke({"question": "?"}, capture.config())
    spans = capture.journal.spans
    assert sorted(spans[s.parent_id or ""].name for s in spans.values() if s.name == "Model") == ["helper", "node"]


def test_an_agent_has_the_policy_of_its_name(capture_with: Any) -> None:
    policy = AgentPolicy(agent="causal_impact", tier=2, metrics={"score": MetricRule("outputs.score")})
    capture: Capture = capture_with(Policies(agents={"causal": policy}))
    tierlens.agent("causal")(lambda: {"score": 0.5})()
    span = capture.journal.named("causal")
    assert (span.attributes[keys.AGENT], span.attributes[keys.TIER]) == ("causal_impact", 2)
    assert capture.journal.routings[span.span_id].metrics == {"score": 0.5}


def test_retrievers_and_rerankers_tell_what_they_found_and_moved(capture: Capture) -> None:
    found = [Document(f"text {n}", id=f"d{n}", metadata={"score": n / 10}) for n in range(3)]
    search = tierlens.retriever("search")(lambda query: found)
    rerank = tierlens.reranker("rerank")(lambda query, documents: documents[::-1][:2])
    tierlens.span("outer")(lambda: rerank("why?", search("why?")))()
    assert [one["id"] for one in read(capture, "search", keys.OUTPUTS)] == ["d0", "d1", "d2"]
    moves = read(capture, "rerank", keys.RERANKING)
    assert moves["before"] == ["d0", "d1", "d2"]
    assert [(one["id"], one["move"]) for one in moves["after"]] == [("d2", 2), ("d1", 0)]
    assert moves["dropped"] == ["d0"]


def test_the_block_around_says_for_whom(capture: Capture) -> None:
    with using(Context(brand="Kisqali", session="s")):
        tierlens.span("work")(lambda: None)()
    assert capture.journal.routings[capture.journal.named("work").span_id].brand == "Kisqali"


def test_without_a_lens_functions_run_as_they_are() -> None:
    assert active.recorder() is None
    assert tierlens.span(ways()["plain"])(3) == 3
    assert drive(tierlens.span(ways()["generator"])) == drive(ways()["generator"])  # type: ignore[arg-type]  # it is one


class Hostile:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return Hostile
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")

    def __bool__(self) -> bool:
        raise RuntimeError("bool")

    __hash__ = None  # type: ignore[assignment]  # as hostile as can be


@pytest.mark.parametrize("decorator", KINDS)
def test_hostile_arguments_and_results_pass_through(capture: Capture, decorator: Any) -> None:
    capture.recorder.shield.strict = False
    given = Hostile()
    returned = decorator("echo")(lambda value, *more: value)(given, [given])
    assert returned is given
    assert capture.journal.named("echo").status == "OK"


def test_an_argument_that_is_a_generator_is_not_consumed(capture: Capture) -> None:
    assert tierlens.span("sum")(sum)(n for n in range(4)) == 6
    assert [*tierlens.span("echo")(lambda steps: steps)(iter("abc"))] == ["a", "b", "c"]
