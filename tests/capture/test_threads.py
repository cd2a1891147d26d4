"""Threads that a node starts by itself belong to the node."""

from __future__ import annotations

import asyncio
import inspect
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest

from tests.capture.conftest import Capture
from tests.capture.graphs import State, graph
from tierlens import metric, span
from tierlens.capture import active, threads

QUESTION = {"question": "Why?"}


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    threads.install()
    yield
    threads.uninstall()


@span("work")
def work(number: int = 0) -> int:
    return number + 1


def parents(capture: Capture) -> set[str | None]:
    """Names of the spans that ``work`` went below."""
    spans = capture.journal.spans
    found = [one for one in spans.values() if one.name == "work"]
    assert found
    return {spans[one.parent_id].name if one.parent_id else None for one in found}


def run(capture: Capture, node: Any) -> Any:
    return graph(node=node).compile().invoke(QUESTION, {"callbacks": [capture.callback()]})


def test_a_plain_pool_runs_inside_the_node_that_submits(capture: Capture) -> None:
    with ThreadPoolExecutor(2) as pool:

        def node(state: State) -> State:
            return {"notes": [str([*pool.map(work, range(3)), pool.submit(work, 4).result()])]}

        assert run(capture, node)["notes"] == ["[1, 2, 3, 5]"]
    assert parents(capture) == {"node"}


def test_a_pools_threads_do_not_keep_the_span_they_were_started_in(capture: Capture) -> None:
    with ThreadPoolExecutor(1) as pool:
        started, leave = threading.Event(), threading.Event()

        def node(state: State) -> State:
            pool.submit(work).result()
            started.set()
            leave.wait(10)
            return {"notes": []}

        call = threading.Thread(target=run, args=(capture, node))
        call.start()
        started.wait(10)
        pool.submit(work).result()
        leave.set()
        call.join()
    assert parents(capture) == {"node", None}


def test_a_pool_of_multiprocessings_does_not_keep_it_either(capture: Capture) -> None:
    pools: list[ThreadPool] = []

    def node(state: State) -> State:
        pools.append(ThreadPool(1))
        assert active.recorder() is not None
        return {"notes": []}

    @span("around")
    def around() -> None:
        run(capture, node)
        pools[0].apply(work)

    around()
    pools[0].terminate()
    assert parents(capture) == {None}


def test_a_thread_runs_inside_the_node_that_starts_it(capture: Capture) -> None:
    class Worker(threading.Thread):
        def run(self) -> None:
            work()

    def node(state: State) -> State:
        for thread in (threading.Thread(target=work), Worker(), threading.Timer(0, work)):
            thread.start()
            thread.join()
            assert "run" not in vars(thread)
        return {"notes": []}

    run(capture, node)
    assert parents(capture) == {"node"}


def test_an_async_node_hands_on_to_executors(capture: Capture) -> None:
    async def node(state: State) -> State:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            await loop.run_in_executor(pool, work)
        await loop.run_in_executor(None, work)
        await asyncio.to_thread(work)
        return {"notes": []}

    asyncio.run(graph(node=node).compile().ainvoke(QUESTION, {"callbacks": [capture.callback()]}))
    assert parents(capture) == {"node"}


def test_inside_a_decorated_call_a_thread_belongs_to_that_call(capture: Capture) -> None:
    @span("outer")
    def outer() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(work).result()

    def node(state: State) -> State:
        outer()
        return {"notes": []}

    run(capture, node)
    assert parents(capture) == {"outer"}


def test_a_metric_from_a_thread_goes_to_the_nodes_agent(capture: Capture) -> None:
    def node(state: State) -> State:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(metric, "score", 0.5).result()
        return {"notes": []}

    run(capture, node)
    assert capture.journal.routings[capture.journal.named("node").span_id].metrics == {"score": 0.5}


def test_a_thread_that_outlives_its_trace_records_for_the_same_brand(capture: Capture) -> None:
    over, late = threading.Event(), queue.Queue[threading.Thread]()

    def after() -> None:
        over.wait(10)
        work()

    def node(state: State) -> State:
        thread = threading.Thread(target=after)
        thread.start()
        late.put(thread)
        return {"notes": []}

    graph(node=node).compile().invoke(QUESTION, {"callbacks": [capture.callback(brand="Kisqali")]})
    over.set()
    late.get().join()
    assert parents(capture) == {None}
    assert {routing.brand for routing in capture.journal.routings.values()} == {"Kisqali"}


def test_where_no_span_is_open_nothing_is_wrapped(capture: Capture) -> None:
    seen: list[Any] = []

    class Pool(ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            future = super().submit(fn, *args, **kwargs)
            seen.append(fn)
            return future

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with Pool(1) as pool:
        pool.submit(work, 1).result()
    assert seen == [work]
    assert parents(capture) == {None}


def test_errors_come_out_as_they_went_in(capture: Capture) -> None:
    class Hostile:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(f"asked for {name}")

        def __call__(self) -> str:
            return "called"

    @span("outer")
    def outer() -> None:
        with ThreadPoolExecutor(1) as pool:
            with pytest.raises(ZeroDivisionError):
                pool.submit(lambda: 1 // 0).result()
            with pytest.raises(TypeError):
                pool.submit()  # type: ignore[call-arg]  # on purpose
            assert pool.submit(Hostile()).result() == "called"
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(work)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        with pytest.raises(RuntimeError, match="only be started once"):
            thread.start()
        assert "run" not in vars(thread)

    outer()


def test_a_thread_whose_run_is_its_own_affair_is_left_alone(capture: Capture) -> None:
    class Guarded(threading.Thread):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "run":
                raise AttributeError("run is fixed")
            super().__setattr__(name, value)

    @span("outer")
    def outer() -> None:
        own = threading.Thread(target=work)
        own.run = lambda: None  # type: ignore[method-assign]  # as some libraries do
        for thread in (own, Guarded(target=work)):
            thread.start()
            thread.join()

    outer()
    assert parents(capture) == {None}


def test_installing_is_undone_and_done_once() -> None:
    threads.uninstall()
    plain = ThreadPoolExecutor.submit, threading.Thread.start
    threads.install()
    ours = ThreadPoolExecutor.submit, threading.Thread.start
    threads.install()
    assert (ThreadPoolExecutor.submit, threading.Thread.start) == ours
    assert [inspect.signature(method) for method in ours] == [inspect.signature(method) for method in plain]
    assert ThreadPoolExecutor.submit.__qualname__ == "ThreadPoolExecutor.submit"
    threads.uninstall()
    assert (ThreadPoolExecutor.submit, threading.Thread.start) == plain


def test_what_others_wrap_around_it_stays_when_it_goes() -> None:
    ours = ThreadPoolExecutor.submit

    def theirs(*args: Any, **kwargs: Any) -> Any:
        return ours(*args, **kwargs)

    theirs.__wrapped__ = ours  # type: ignore[attr-defined]  # as functools.wraps does
    ThreadPoolExecutor.submit = theirs  # type: ignore[method-assign]  # what another library does
    try:
        threads.uninstall()
        assert ThreadPoolExecutor.submit is theirs
        threads.install()
        assert ThreadPoolExecutor.submit is theirs
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(work, 1).result() == 2
    finally:
        ThreadPoolExecutor.submit = ours  # type: ignore[method-assign]  # and takes back
