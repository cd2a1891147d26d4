"""The Lens end to end: a graph here, MLflow's own answers there."""

from __future__ import annotations

import enum
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.runnables import RunnableLambda, RunnableParallel, RunnablePassthrough
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

import tierlens
from tests.capture.graphs import chain
from tests.conftest import StoredMlflow
from tierlens.errors import ConfigError, SettingsError, UnknownBrand
from tierlens.lens import Lens
from tierlens.shipping.hosts.run import run_once
from tierlens.testing import MemorySink

QUESTION = {"question": "Why did new starts fall?"}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Lens]]:
    """Starts the process's Lens with a journal of its own, and closes it again."""
    started: list[Lens] = []
    (tmp_path / "config").mkdir()

    def init(**keywords: Any) -> Lens:
        given = {"journal_dir": tmp_path / "journal", "config_dir": tmp_path / "config", "shipper": "external"}
        started.append(tierlens.init(**{**given, **keywords}))
        return started[-1]

    yield init
    for lens in started:
        lens.close()


def config(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "config"
    folder.mkdir(exist_ok=True)
    (folder / "tierlens.yaml").write_text(textwrap.dedent(text))
    return folder


def app(tmp_path: Path, name: str, brands: str) -> Path:
    return config(tmp_path, f"app: {name}\nbrands: [{brands}]\nunknown_brand: reject\n")


@pytest.mark.server
def test_a_call_is_one_trace_in_its_brands_experiment(
    start: Callable[..., Lens], mlflow_server: StoredMlflow, tmp_path: Path
) -> None:
    folder = app(tmp_path, "lens_one", "Kisqali, Fabhalta")
    lens = start(tracking_uri=mlflow_server.uri, config_dir=folder, shipper="thread")
    graph = chain()

    for brand in ("Kisqali", "Fabhalta", "Kisqali"):
        graph.invoke(
            QUESTION, {"callbacks": [lens.callback(brand=brand, user="ana", session="s1", tags={"wave": "3"})]}
        )
    report = lens.flush(timeout_s=30)

    assert (report.accepted, report.stored, report.pending, report.refused) == (15, 15, 0, {})
    kisqali, fabhalta = (mlflow_server.trace_ids(f"lens_one/{brand}") for brand in ("Kisqali", "Fabhalta"))
    assert (len(kisqali), len(fabhalta)) == (2, 1)
    info = mlflow_server.trace(next(iter(fabhalta)))
    assert (info["request_preview"], info["response_preview"]) == ("Why did new starts fall?", "one")
    assert info["tags"]["brand"] == "Fabhalta"
    assert info["tags"]["agents"] == "a, b"
    assert info["tags"]["wave"] == "3"


@pytest.mark.server
@pytest.mark.parametrize("shipper", ["thread", "process"])
def test_what_was_recorded_arrives_whoever_ships(
    start: Callable[..., Lens], mlflow_server: StoredMlflow, tmp_path: Path, shipper: str
) -> None:
    lens = start(tracking_uri=mlflow_server.uri, config_dir=app(tmp_path, f"lens_{shipper}", "B"), shipper=shipper)
    chain().invoke(QUESTION, {"callbacks": [lens.callback(brand="B")]})
    assert lens.flush(timeout_s=60).pending == 0
    assert len(mlflow_server.trace_ids(f"lens_{shipper}/B")) == 1


@pytest.mark.server
def test_a_journal_is_delivered_to_whoever_is_named_when_it_is_shipped(
    start: Callable[..., Lens], mlflow_server: StoredMlflow, tmp_path: Path
) -> None:
    lens = start(tracking_uri="http://127.0.0.1:9", config_dir=app(tmp_path, "lens_b", "B"))
    chain().invoke(QUESTION, {"callbacks": [lens.callback(brand="B")]})
    lens.close()
    env = {**os.environ, "MLFLOW_TRACKING_URI": mlflow_server.uri, "TIERLENS_JOURNAL_DIR": str(tmp_path / "journal")}
    subprocess.run([sys.executable, "-m", "tierlens", "ship", "--once"], env=env, cwd=tmp_path, check=True)
    assert len(mlflow_server.trace_ids("lens_b/B")) == 1


LEFT_BEHIND = """
    import sys, time, tierlens
    from tests.capture.graphs import chain
    lens = tierlens.init(tracking_uri="http://127.0.0.1:9", shipper="process", config_dir=sys.argv[1])
    chain().invoke({"question": "lost?"}, {"callbacks": [lens.callback(brand="B")]})
    lens.flush(timeout_s=5)
"""


@pytest.mark.server
def test_a_shipping_process_that_a_dead_agent_left_behind_makes_way(
    mlflow_server: StoredMlflow, tmp_path: Path
) -> None:
    folder, env = app(tmp_path, "lens_left", "B"), {**os.environ, "TIERLENS_JOURNAL_DIR": str(tmp_path / "journal")}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, "-c", textwrap.dedent(LEFT_BEHIND), str(folder)], env=env, check=True)
    env["MLFLOW_TRACKING_URI"] = mlflow_server.uri
    subprocess.run([sys.executable, "-m", "tierlens", "ship", "--once"], env=env, cwd=tmp_path, check=True)
    assert len(mlflow_server.trace_ids("lens_left/B")) == 1


def test_an_unknown_brand_is_refused_by_name_before_anything_runs(start: Callable[..., Lens], tmp_path: Path) -> None:
    lens = start(config_dir=app(tmp_path, "x", "Kisqali, Fabhalta"))
    with pytest.raises(UnknownBrand, match=r"tierlens.yaml.*'Kisqalli' is not one of the brands: Kisqali, Fabhalta"):
        lens.callback(brand="Kisqalli")
    with pytest.raises(UnknownBrand):
        lens.attach(chain(), brand="Kisqalli")


def test_an_attached_graph_takes_its_brand_from_each_input(start: Callable[..., Lens]) -> None:
    lens = start()
    graph = lens.attach(RunnableLambda(lambda inputs: inputs["brand"]), brand_from="inputs.brand")
    assert graph.batch([{"brand": "A"}, {"brand": "B"}]) == ["A", "B"]
    assert lens.flush(timeout_s=0).accepted == 2


@pytest.mark.parametrize("way", ["stream", "astream", "astream_events"])
async def test_an_attached_chain_takes_its_brand_from_what_it_streams(start: Callable[..., Lens], way: str) -> None:
    lens = start()
    chain = lens.attach(RunnableParallel(brand=RunnablePassthrough()) | RunnableLambda(str), brand_from="inputs.brand")
    if way == "stream":
        assert list(chain.stream({"brand": "A"}))
    elif way == "astream":
        assert [chunk async for chunk in chain.astream({"brand": "A"})]
    else:
        assert [event async for event in chain.astream_events({"brand": "A"}, version="v2")]

    sink = MemorySink()
    assert run_once(lens.settings.journal_dir, sink).drained
    assert set(sink.experiments.values()) == {"tierlens/A"}


def test_an_attached_graph_called_with_a_callback_as_well_is_recorded_once(start: Callable[..., Lens]) -> None:
    lens = start()
    lens.attach(RunnableLambda(lambda inputs: inputs)).invoke(1, {"callbacks": [lens.callback(), lens.callback()]})
    assert lens.flush(timeout_s=0).accepted == 1


def keeps_its_callbacks() -> bool:
    """Whether a graph's own callbacks are asked also where a call brings others."""
    own = RunCollectorCallbackHandler()
    chain().with_config(callbacks=[own]).invoke({"question": "A"}, {"callbacks": [RunCollectorCallbackHandler()]})
    return bool(own.traced_runs)


@pytest.mark.parametrize(
    ("attached", "given", "expected"),
    [
        ([{}], {"brand": "B"}, "B"),
        ([{"brand": "A"}], {"brand": "B"}, "B"),
        ([{"brand": "A"}], {}, "A"),
        ([{"brand": "A"}, {"brand": "B"}], None, "B"),
        ([{"brand_from": "inputs.question"}], {"brand": "B"}, "B"),
        ([{"brand": "A"}], {"user": "ana"}, "A"),
    ],
)
def test_the_call_knows_better_than_the_attached_graph_for_whom_it_is(
    start: Callable[..., Lens], attached: list[dict[str, str]], given: dict[str, str] | None, expected: str
) -> None:
    if given is not None and "brand" not in given and not keeps_its_callbacks():
        pytest.skip("this LangGraph has a call's callbacks replace the graph's own, with or without tierlens")
    lens, graph = start(), chain()
    for about in attached:
        graph = lens.attach(graph, **about)
    graph.invoke({"question": "A"}, {"callbacks": [lens.callback(**given)]} if given is not None else None)

    sink = MemorySink()
    assert run_once(lens.settings.journal_dir, sink).drained
    assert {batch.experiment for batch in sink.batches} == {f"tierlens/{expected}"}
    assert len([span for span in sink.spans.values() if not span.get("parentSpanId")]) == 1


@pytest.mark.parametrize("path", ["", "inputs", "inputs.", "outputs.brand", "nonsense path"])
def test_a_path_that_leads_to_no_brand_is_refused(start: Callable[..., Lens], path: str) -> None:
    with pytest.raises(SettingsError, match=r"brand_from: .* must be a path such as inputs\.brand"):
        start().attach(chain(), brand_from=path)


def test_what_is_no_graph_or_no_tags_is_refused(start: Callable[..., Lens]) -> None:
    lens = start()
    with pytest.raises(SettingsError, match="this NoneType is no graph"):
        lens.attach(None)
    with pytest.raises(SettingsError, match="must be names with values"):
        lens.callback(tags=["x"])


def test_a_number_is_a_brand_by_its_digits_and_a_whole_input_is_none(start: Callable[..., Lens]) -> None:
    lens, sink = start(), MemorySink()
    chain().invoke(QUESTION, {"callbacks": [lens.callback(brand=12, user=7)]})
    lens.attach(RunnableLambda(str), brand_from="inputs.brand").invoke({"brand": {"name": "A"}})

    assert run_once(lens.settings.journal_dir, sink).drained
    assert {batch.experiment for batch in sink.batches} == {"tierlens/12", "tierlens/default"}


def test_a_call_whose_process_dies_is_in_the_experiment_that_the_call_named(start: Callable[..., Lens]) -> None:
    lens, run_id = start(), uuid4()
    for brand in ("A", "B"):
        lens.callback(brand=brand).on_chain_start({}, QUESTION, run_id=run_id)
    lens.close()

    sink = MemorySink()
    assert run_once(lens.settings.journal_dir, sink).drained
    assert {batch.experiment for batch in sink.batches} == {"tierlens/B"}


def test_a_rejected_brand_leaves_nothing_behind_not_even_from_inside(
    start: Callable[..., Lens], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lens = start(config_dir=app(tmp_path, "x", "Kisqali"))
    graph = lens.attach(chain(), brand_from="inputs.question")
    graph.invoke({"question": "Kisqalli"})
    assert lens.flush(timeout_s=0).accepted == 0
    assert "'Kisqalli' is not one of the brands: Kisqali" in caplog.text
    assert "skipped" not in caplog.text


def test_a_call_that_names_no_brand_is_refused_where_unknown_ones_are(
    start: Callable[..., Lens], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lens = start(config_dir=app(tmp_path, "x", "Kisqali, Fabhalta"))
    callback, graph = lens.callback(), chain()

    assert graph.invoke(QUESTION, {"callbacks": [callback]})["notes"] == ["one", "one"]

    assert lens.flush(timeout_s=0).accepted == 0
    assert (
        f"calls are not recorded: {tmp_path}/config/tierlens.yaml:2: brands: a call names no brand where unknown_brand "
        "is reject; give one of Kisqali, Fabhalta as brand= to callback(), attach() or using(), or set TIERLENS_BRAND"
    ) in caplog.text
    with lens.using(brand="Fabhalta"):
        graph.invoke(QUESTION, {"callbacks": [callback]})
    assert brands_of(lens, tmp_path / "journal") == {"Fabhalta"}


def test_with_a_brand_of_its_own_a_process_needs_to_name_none(start: Callable[..., Lens], tmp_path: Path) -> None:
    lens = start(config_dir=app(tmp_path, "x", "Kisqali, Fabhalta"), brand="Fabhalta")
    chain().invoke(QUESTION, {"callbacks": [lens.callback()]})
    assert brands_of(lens, tmp_path / "journal") == {"Fabhalta"}


def brands_of(lens: Lens, journal: Path) -> set[str]:
    lens.close()
    found = (segment.read_text() for segment in journal.rglob("*") if segment.suffix != ".blob" and segment.is_file())
    return set(re.findall(r'"brand":"([^"]*)"', "".join(found)))


def test_a_call_takes_the_brand_it_names_else_the_blocks_else_the_settings(
    start: Callable[..., Lens], tmp_path: Path
) -> None:
    lens = start(brand="K")
    with lens.using(brand="F"):
        RunnableLambda(str).invoke(1, {"callbacks": [lens.callback()]})
    assert brands_of(lens, tmp_path / "journal") == {"F"}
    for name, call in {
        "named": lambda lens: RunnableLambda(str).invoke(1, {"callbacks": [lens.callback(brand="N")]}),
        "own": lambda lens: RunnableLambda(str).invoke(1, {"callbacks": [lens.callback()]}),
        "none-found": lambda lens: lens.attach(RunnableLambda(str), brand_from="inputs.brand").invoke({}),
    }.items():
        lens = start(brand="K", journal_dir=tmp_path / name)
        call(lens)
        assert brands_of(lens, tmp_path / name) == ({"N"} if name == "named" else {"K"})


def test_a_thread_that_was_paused_goes_on_for_its_brand(start: Callable[..., Lens], tmp_path: Path) -> None:
    lens = start(journal_dir=tmp_path / "journal")
    built = StateGraph(dict).add_node("ask", lambda state: {**state, "said": interrupt("?")}).add_edge(START, "ask")
    attached = lens.attach(built.compile(checkpointer=InMemorySaver()), brand_from="inputs.brand")
    thread: Any = {"configurable": {"thread_id": "t 1"}}

    attached.invoke({"brand": "Fabhalta"}, thread)
    attached.invoke(Command(resume="yes"), thread)

    assert brands_of(lens, tmp_path / "journal") == {"Fabhalta"}


def test_a_brand_may_be_a_member_of_an_enumeration(start: Callable[..., Lens], tmp_path: Path) -> None:
    class Brand(str, enum.Enum):  # noqa: UP042  # as people had to write it before 3.11
        NORTH = "N"

    graph = RunnableLambda(lambda inputs: inputs)
    for name, call in {
        "given": lambda lens: graph.invoke({}, {"callbacks": [lens.callback(brand=Brand.NORTH)]}),
        "read": lambda lens: lens.attach(graph, brand_from="inputs.brand").invoke({"brand": Brand.NORTH}),
    }.items():
        lens = start(journal_dir=tmp_path / name)
        call(lens)
        assert brands_of(lens, tmp_path / name) == {"N"}


def test_strict_is_a_setting_like_any_other(start: Callable[..., Lens]) -> None:
    def step(span: Any) -> Any:
        raise LookupError("of the user's own")

    lens = start(strict=True, steps=(step,))
    with pytest.raises(LookupError):
        RunnableLambda(str).invoke(1, {"callbacks": [lens.callback()]})


def test_steps_see_start_records_too(start: Callable[..., Lens], tmp_path: Path) -> None:
    lens = start(steps=(lambda span: span._replace(name="hidden"),))
    RunnableLambda(str, name="secret-name").invoke(1, {"callbacks": [lens.callback()]})
    lens.close()
    text = "".join(path.read_text() for path in (tmp_path / "journal").rglob("*") if path.is_file())
    assert "hidden" in text
    assert "secret-name" not in text


def test_init_again_is_the_same_lens_and_with_other_settings_a_new_one(
    start: Callable[..., Lens], tmp_path: Path
) -> None:
    lens = start()
    assert start() is lens
    other = start(journal_dir=tmp_path / "other")
    assert other is not lens
    assert tierlens.init(journal_dir=tmp_path / "other", config_dir=tmp_path / "config", shipper="external") is other


def test_init_says_once_which_agents_file_nobody_reads(
    start: Callable[..., Lens], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = config(tmp_path, "app: a\n")
    (folder / "explainer.yaml").write_text("agent: explainer\nlog_prompts: false\n")
    start()
    start()
    said = f"{folder}/explainer.yaml: this file is not read; those of agents are {folder}/agents/<agent>.yaml"
    assert caplog.text.count(said) == 1


def test_init_refuses_an_address_that_nobody_can_deliver_to_and_the_lens_that_runs_goes_on(
    start: Callable[..., Lens],
) -> None:
    lens = start()
    with pytest.raises(SettingsError, match=r"^keyword tracking_uri: 'localhost:5000' .*did you mean http://localhost"):
        start(shipper="thread", tracking_uri="localhost:5000")
    assert not lens.closed


def test_init_again_reads_the_files_again_and_says_what_has_changed(
    start: Callable[..., Lens], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = config(tmp_path, "app: before\n") / "tierlens.yaml"
    lens = start()
    file.write_text("# the same, and a comment\napp: before\n")
    assert start() is lens
    assert caplog.messages == []

    file.write_text("app: after\n")
    other = start()

    assert (lens.closed, other.closed, other.policies.app) == (True, False, "after")
    assert f"with something else (the files in {tmp_path}/config): the Lens that ran is closed" in caplog.text
    assert start() is other


def test_what_changed_is_said_by_name_and_not_by_value(
    start: Callable[..., Lens], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start(tracking_token="hush")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "tierlens.yaml").write_text("app: other\n")
    lens = start(tracking_token="other-hush", config_dir=elsewhere, environment="prod", steps=(lambda span: span,))

    assert lens.policies.app == "other"
    assert "with something else (tracking_token, config_dir, environment, steps):" in caplog.text
    assert "hush" not in caplog.text


def test_after_a_wrong_file_the_lens_that_runs_goes_on(start: Callable[..., Lens], tmp_path: Path) -> None:
    file = config(tmp_path, "app: right\n") / "tierlens.yaml"
    lens = start()
    file.write_text("apq: wrong\n")
    with pytest.raises(ConfigError, match="apq is not a known key"):
        start()

    RunnableLambda(str).invoke(1, {"callbacks": [lens.callback()]})
    assert (lens.closed, lens.flush(timeout_s=0).accepted) == (False, 1)


def test_a_lens_that_was_closed_is_not_started_again(
    start: Callable[..., Lens], caplog: pytest.LogCaptureFixture
) -> None:
    start().close()
    assert not start().closed
    assert start(enabled=False) is start(enabled=False)
    start(enabled=False).close()
    assert not start(enabled=True).closed
    assert caplog.text.count("with something else (enabled)") == 1


@pytest.mark.parametrize("switch", ["TIERLENS_ENABLED", "MLFLOW_ENABLE_TRACKING", "MLFLOW_ENABLE_TRACING"])
def test_turned_off_nothing_is_recorded_started_or_written(
    start: Callable[..., Lens], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    monkeypatch.setenv(switch, "false")
    lens = start()
    graph = chain()
    assert lens.attach(graph) is graph
    assert graph.invoke(QUESTION, {"callbacks": [lens.callback(brand="any")]})["notes"] == ["one", "one"]

    @tierlens.agent("decorated")
    def work() -> str:
        tierlens.metric("m", 1.0)
        return "done"

    assert work() == "done"
    assert lens.flush().accepted == 0
    assert not (tmp_path / "journal").exists()


def test_a_wrong_setting_says_where_it_comes_from_and_what_is_known(start: Callable[..., Lens]) -> None:
    with pytest.raises(SettingsError, match="tracking_uri"):
        start(trackin_uri="http://localhost:5000")


def test_importing_tierlens_imports_neither_mlflow_nor_anthropic_nor_what_ships() -> None:
    heavy = "{'mlflow', 'anthropic', 'genai_prices', 'tierlens.shipping', 'tierlens.sinks'}"
    code = f"import sys, langgraph.graph, tierlens; print({heavy} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


AUTOLOG = """
    import sys, logging, mlflow, tierlens
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    from tests.capture.graphs import chain
    mlflow.set_tracking_uri(sys.argv[1])
    mlflow.set_experiment(sys.argv[2])
    late = sys.argv[3] == "late"
    if not late:
        mlflow.langchain.autolog()
    given = {"mlflow_experiment": sys.argv[2], "config_dir": sys.argv[4], "shipper": "thread"}
    lens = tierlens.init(tracking_uri=sys.argv[1], **given)
    if late:
        mlflow.langchain.autolog()
    for _ in range(2):
        chain().invoke({"question": "twice?"}, {"callbacks": [lens.callback()]})
    mlflow.flush_trace_async_logging()
    lens.flush(timeout_s=30)
"""


@pytest.mark.server
@pytest.mark.parametrize("when", ["early", "late"])
def test_with_autolog_on_as_well_no_trace_is_doubled_and_the_user_is_told_once(
    mlflow_server: StoredMlflow, tmp_path: Path, when: str
) -> None:
    experiment = f"autolog_{when}"
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(AUTOLOG), mlflow_server.uri, experiment, when, str(tmp_path)],
        env={**os.environ, "TIERLENS_JOURNAL_DIR": str(tmp_path / "journal"), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr.count("mlflow.langchain.autolog() is on as well") == 1
    assert len(mlflow_server.trace_ids(experiment)) == 2
