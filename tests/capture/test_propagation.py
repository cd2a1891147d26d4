"""A graph that calls another service's graph is one trace."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

import tierlens
from tests.capture import journalled
from tests.capture.conftest import Capture
from tests.capture.graphs import State, graph
from tests.conftest import StoredMlflow
from tierlens import continue_trace, keys, span, trace_headers
from tierlens.capture.current import using
from tierlens.capture.propagation import Remote, parse, parse_baggage
from tierlens.capture.trace import Context
from tierlens.policy import AgentPolicy, Policies
from tierlens.shipping.hosts.run import run_once
from tierlens.sinks.mlflow_http import MlflowHttpSink

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
JOINED = {"traceparent": PARENT}


@contextlib.contextmanager
def service(journal: Path, *more: str) -> Iterator[str]:
    """The URL of a running service; it has closed its journal when the block is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.capture.service", str(journal), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TIERLENS_CONFIG_DIR": str(journal.parent)},
    )
    assert process.stdin
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(60)


def asking(url: str) -> Any:
    """A graph whose node asks the service."""

    def ask(state: State) -> State:
        answer = httpx.post(url, json={"question": state["question"]}, headers=trace_headers(), trust_env=False)
        return {"notes": answer.json()["notes"]}

    return graph(ask=ask).compile(name="asker")


def test_a_graph_in_another_process_goes_below_the_node_that_calls_it(capture: Capture, tmp_path: Path) -> None:
    callback = capture.callback(brand="Kisqali", session="sé 1", user="analyst,1")
    with service(tmp_path) as url:
        answer = asking(url).invoke({"question": "Why?"}, {"callbacks": [callback]})
    assert answer["notes"] == ["found"]
    here, there = (
        capture.journal.named("ask"),
        {orjson.loads(one.payload)["name"]: one for one in journalled.lines(tmp_path)},
    )
    entered = there["knowledge"]
    assert {one.trace for one in there.values()} == {here.trace_id}
    assert orjson.loads(entered.payload)["parentSpanId"] == here.span_id
    assert orjson.loads(there["retrieve"].payload)["parentSpanId"] == entered.span
    assert {(one.experiment, one.brand) for one in there.values()} == {("tierlens/Kisqali", "Kisqali")}
    assert entered.root
    assert not [name for name in journalled.attributes(entered) if name.startswith(keys.TRACE_TAG)]


@pytest.mark.server
def test_both_sides_deliver_one_trace_to_mlflow(mlflow_server: StoredMlflow, tmp_path: Path, experiment: str) -> None:
    brand = experiment.replace("/", "-")
    lens = tierlens.init(journal_dir=tmp_path / "a", config_dir=tmp_path, tracking_uri=mlflow_server.uri)
    try:
        with service(tmp_path / "b", mlflow_server.uri) as url:
            lens.attach(asking(url), brand=brand, session="s 1").invoke({"question": "Why?"})
        assert lens.flush(timeout_s=30).pending == 0
    finally:
        lens.close()
    for side in ("a", "b"):
        # MLflow may drop spans that two requests store at once; whoever ships asks for them, and sends them again.
        with contextlib.closing(MlflowHttpSink(mlflow_server.uri)) as sink:
            assert run_once(tmp_path / side, sink).drained
    (trace_id,) = mlflow_server.trace_ids(f"tierlens/{brand}")
    names = {one["span_id"]: one["name"] for one in mlflow_server.spans(trace_id)}
    tree = {one["name"]: names.get(one.get("parent_span_id", "")) for one in mlflow_server.spans(trace_id)}
    assert tree == {"asker": None, "ask": "asker", "knowledge": "ask", "retrieve": "knowledge"}
    info = mlflow_server.trace(trace_id)
    assert info["state"] == "OK"
    assert info["tags"]["brand"] == brand
    assert info["trace_metadata"]["mlflow.trace.session"] == "s 1"


def test_outside_of_any_span_there_is_nothing_to_send(capture: Capture) -> None:
    assert trace_headers() == {}


def test_the_headers_name_the_innermost_span_and_for_whom(capture: Capture) -> None:
    sent: dict[str, str] = {}
    with using(Context(brand="Ké,1", session="a b", user="u=1")):
        span("outer")(span("inner")(lambda: sent.update(trace_headers())))()
    inner = capture.journal.named("inner")
    assert sent == {
        "traceparent": f"00-{inner.trace_id}-{inner.span_id}-01",
        "tracestate": f"tierlens={inner.trace_id}-{inner.span_id}-01,tierlens-brand=K%C3%A9%2C1",
        "baggage": "tierlens.brand=K%C3%A9%2C1,tierlens.session=a%20b,tierlens.user=u%3D1",
    }
    with continue_trace({name.upper(): value for name, value in sent.items()}):
        span("remote")(lambda: None)()
    remote = capture.journal.named("remote")
    assert (remote.trace_id, remote.parent_id) == (inner.trace_id, inner.span_id)
    here, there = (capture.journal.routings[span.span_id] for span in (inner, remote))
    assert there._replace(invocation=None) == here._replace(root=True)


def test_what_is_called_after_the_block_is_a_trace_of_its_own(capture: Capture) -> None:
    with continue_trace(JOINED):
        span("inside")(lambda: None)()
    span("after")(lambda: None)()
    assert capture.journal.named("inside").trace_id == TRACE
    assert capture.journal.named("after").parent_id is None


async def test_tasks_of_the_block_join_and_others_do_not(capture: Capture) -> None:
    @span("work")
    async def work(number: int) -> None:
        await asyncio.sleep(0)

    async def request(number: int) -> None:
        with continue_trace({"traceparent": f"00-{number:032x}-{number:016x}-01"}):
            await asyncio.gather(work(number), work(number))

    await asyncio.gather(*map(request, range(1, 5)), work(0))
    found = sorted((one.trace_id, one.parent_id) for one in capture.journal.spans.values() if one.parent_id)
    assert found == sorted((f"{n:032x}", f"{n:016x}") for n in range(1, 5) for _ in range(2))
    assert len(capture.journal.roots()) == 1


def test_the_callers_brand_wins_over_the_services_own(capture: Capture) -> None:
    served = graph(a=lambda state: {"notes": []}).compile()
    with continue_trace({**JOINED, "baggage": "tierlens.brand=Kisqali, other=1;p=2"}):
        served.invoke({"question": "?"}, {"callbacks": [capture.callback(brand="Fabhalta")]})
    assert {routing.brand for routing in capture.journal.routings.values()} == {"Kisqali"}


def test_a_brand_that_is_not_configured_is_not_taken_from_a_request(capture_with: Any) -> None:
    capture: Capture = capture_with(Policies(brands=("Kisqali",), unknown_brand="reject"))
    with using(Context(brand="Kisqali")), continue_trace({**JOINED, "baggage": "tierlens.brand=Other"}):
        span("work")(lambda: None)()
    work = capture.journal.named("work")
    assert (work.trace_id, capture.journal.routings[work.span_id].brand) == (TRACE, "Kisqali")


def test_a_trace_the_caller_dropped_is_dropped_here_too(capture_with: Any) -> None:
    capture_with(Policies(defaults=AgentPolicy(sample=0.0)))
    sent: dict[str, str] = {}
    span("outer")(lambda: sent.update(trace_headers()))()
    assert sent["traceparent"].endswith("-00")
    keeping: Capture = capture_with(Policies())
    with continue_trace(sent):
        span("inner")(lambda: None)()
    with continue_trace({"traceparent": sent["traceparent"]}):
        span("of a foreign caller")(lambda: None)()
    assert [one.name for one in keeping.journal.spans.values()] == ["of a foreign caller"]


def test_spans_that_proxies_put_between_do_not_tear_the_trace_apart(capture: Capture) -> None:
    sent: dict[str, str] = {}
    span("caller")(lambda: sent.update(trace_headers()))()
    with continue_trace({**sent, "traceparent": PARENT}):
        span("callee")(lambda: None)()
    assert capture.journal.named("callee").parent_id == capture.journal.named("caller").span_id


@pytest.mark.parametrize("baggage", [{"baggage": "theirs=1"}, {}], ids=["replaced", "dropped"])
def test_the_brand_gets_through_where_the_baggage_does_not(capture: Capture, baggage: dict[str, str]) -> None:
    sent: dict[str, str] = {}
    with using(Context(brand="Ké,1")):
        span("caller")(lambda: sent.update(trace_headers()))()
    del sent["baggage"]
    with continue_trace({**sent, **baggage}):
        span("callee")(lambda: None)()
    assert {routing.brand for routing in capture.journal.routings.values()} == {"Ké,1"}


def test_a_brand_too_long_for_one_member_is_left_to_the_baggage(capture: Capture) -> None:
    sent: dict[str, str] = {}
    with using(Context(brand="ü" * 200)):
        span("caller")(lambda: sent.update(trace_headers()))()
    assert "brand" not in sent["tracestate"]
    assert "brand" in sent["baggage"]


def test_in_one_process_the_open_span_is_parent_enough(capture: Capture) -> None:
    @span("handler")
    def handler() -> None:
        with continue_trace(JOINED):
            span("inner")(lambda: None)()

    handler()
    assert capture.journal.named("inner").parent_id == capture.journal.named("handler").span_id


@pytest.mark.parametrize(
    "traceparent",
    [
        "", "nonsense", PARENT.upper(), PARENT[:-1], PARENT + "-more", PARENT + "\n", f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{SPAN}-zz", f"01-{TRACE}-{SPAN}-01more",
        f"00-{TRACE}-{SPAN}-\u0660\u0661",
    ],
)  # fmt: skip
def test_an_invalid_traceparent_is_ignored_with_all_that_comes_with_it(capture: Capture, traceparent: str) -> None:
    given = {"traceparent": traceparent, "tracestate": f"tierlens={TRACE}-{SPAN}-01", "baggage": "tierlens.brand=X"}
    with continue_trace(given):
        span("work")(lambda: None)()
    work = capture.journal.named("work")
    assert work.parent_id is None
    assert capture.journal.routings[work.span_id].brand == "default"


def test_later_versions_are_read_as_far_as_they_are_known() -> None:
    assert parse([f"01-{TRACE}-{SPAN}-01-and-more"], []) == Remote(TRACE, SPAN, True)


@pytest.mark.parametrize(
    "headers",
    [
        None,
        7,
        [1, 2],
        [("traceparent",)],
        {"traceparent": None},
        {1: 2},
        [("traceparent", PARENT), ("Traceparent", PARENT)],
    ],
)
def test_what_is_no_set_of_headers_is_ignored(capture: Capture, headers: Any) -> None:
    with continue_trace(headers):
        span("work")(lambda: None)()
    assert capture.journal.named("work").parent_id is None


def test_headers_come_in_every_framework_s_shape(capture: Capture) -> None:
    for headers in ({"TraceParent": PARENT}, [(b"traceparent", PARENT.encode())], httpx.Headers(JOINED)):
        with continue_trace(headers):
            span("work")(lambda: None)()
    assert {one.trace_id for one in capture.journal.spans.values()} == {TRACE}


@pytest.mark.parametrize(
    "value", ["tierlens.brand=%FF", "tierlens.brand=" + "x" * 251, "tierlens.brand=a%0Ab", "=", ",,;", "x" * 9_000]
)
def test_baggage_that_cannot_be_used_is_left_out(value: str) -> None:
    assert parse_baggage([value]) == {}


def test_a_block_left_in_another_context_does_no_harm(capture: Capture) -> None:
    block = continue_trace(JOINED)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(block.__enter__).result()
    block.__exit__(None, None, None)
