"""Whatever the ledger stores as changes, a reader gets back as it was."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage

import tierlens
from tests.capture.graphs import graph
from tests.conftest import StoredMlflow
from tierlens.capture import payload
from tierlens.capture.ledger import StateLedger
from tierlens.policy import StatePolicy
from tierlens.state import whole

POLICY = StatePolicy(max_bytes=1 << 30)
KEYS = ["notes", "a.b", "a/b", "~", "$same", "$value", "$from", "0", "", "messages", "ключ", "reply"]

texts = st.one_of(st.text(max_size=12), st.text("ab/é", min_size=170, max_size=400))
numbers = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.sampled_from([0, 0.0, False])
)
messages = st.builds(
    lambda kind, content, calls: AIMessage(content, tool_calls=calls) if kind else HumanMessage(content),
    st.booleans(),
    st.one_of(texts, st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": texts}), max_size=2)),
    st.lists(st.fixed_dictionaries({"name": st.just("t"), "args": st.just({"x": 1}), "id": st.just("c")}), max_size=1),
)
documents = st.builds(lambda text, score: Document(text, metadata={"score": score}), texts, numbers)
marks = st.sampled_from(
    [
        {"$same": "0" * 16},
        {"$from": "s0/notes/0"},
        {"$value": {}},
        {"$cut": 1},
        {"$same": "s0", "kept": 1, "added": []},
        {"$same": "s0", "changed": {"a": 1}},
    ]
)
items = st.one_of(texts, numbers, messages, documents, marks)
values = st.recursive(
    items,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=12,
)
states = st.dictionaries(st.sampled_from(KEYS), values, max_size=5)


def mutate(value: Any) -> None:
    """Change a value in place, as careless nodes do."""
    if isinstance(value, dict):
        value["changed"] = len(value)
    elif isinstance(value, Document):
        value.metadata["score"] = "changed"
    elif isinstance(value, AIMessage | HumanMessage):
        value.content = [{"type": "text", "text": "changed"}] if isinstance(value.content, str) else "changed"
    elif isinstance(value, list) and value:
        mutate(value[0])
        value.append("changed")


class Run:
    """A graph's run as the ledger sees it: each step stores its inputs, then its outputs."""

    def __init__(self) -> None:
        self.ledger = StateLedger()
        self.state: dict[str, Any] = {}
        self.stored: dict[str, dict[str, Any]] = {}
        self.expected: dict[tuple[str, str], Any] = {}

    def step(self, update: dict[str, Any], *, append: bool, changed: str | None, remember: bool) -> None:
        span_id = f"s{len(self.stored)}"
        if changed in self.state:
            mutate(self.state[changed])
        self.expected[span_id, "inputs"] = json.loads(payload.encode(self.state))
        inputs = self.ledger.inputs(span_id, self.state, POLICY, remember)
        self.expected[span_id, "outputs"] = json.loads(payload.encode(update))
        outputs = self.ledger.outputs(update, POLICY, brief=not remember, span_id=span_id if remember else "")
        self.stored[span_id] = {"inputs": inputs.decode(), "outputs": json.loads(outputs)}
        self._apply(update, append)

    def _apply(self, update: dict[str, Any], append: bool) -> None:
        for key, value in update.items():
            before = self.state.get(key)
            if append and isinstance(before, list) and isinstance(value, list):
                value = [*before, *value]
            elif append and isinstance(before, dict) and isinstance(value, dict):
                value = {**before, **value}
            self.state = {**self.state, key: value}


steps = st.tuples(
    states, st.booleans(), st.one_of(st.none(), st.sampled_from(KEYS)), st.sampled_from([True] * 4 + [False])
)


@settings(max_examples=80, deadline=None)
@given(st.lists(steps, min_size=1, max_size=7))
def test_every_states_json_comes_back_exactly(given_steps: list[tuple[dict[str, Any], bool, str | None, bool]]) -> None:
    run = Run()
    for update, append, changed, remember in given_steps:
        run.step(update, append=append, changed=changed, remember=remember)
    for (span_id, part), expected in run.expected.items():
        assert whole(run.stored, span_id, part) == expected  # type: ignore[arg-type]  # a part
        assert json.dumps(whole(run.stored, span_id, part)) == json.dumps(expected)  # type: ignore[arg-type]  # 0 != 0.0


LONG = "The estimated uplift of the campaign is 4.2 % with a confidence interval of 1.1 to 7.3. " * 3


def chain() -> dict[str, dict[str, Any]]:
    """Three spans: one stores a text whole, one refers to it, one grows a list."""
    run = Run()
    run.step({"report": LONG, "notes": [LONG, "b" * 200]}, append=False, changed=None, remember=True)
    run.step({"notes": ["c" * 200]}, append=True, changed=None, remember=True)
    run.step({}, append=True, changed=None, remember=True)
    return run.stored


def test_it_reads_traces_spans_and_mappings_alike() -> None:
    stored = chain()
    expected = whole(stored, "s2")
    assert expected["notes"] == [LONG, "b" * 200, "c" * 200]
    spans = [SimpleNamespace(span_id=span_id, **parts) for span_id, parts in stored.items()]
    assert whole(spans, "s2") == expected
    assert whole(SimpleNamespace(data=SimpleNamespace(spans=spans)), "s2") == expected
    assert whole([{"span_id": span_id, **parts} for span_id, parts in stored.items()], "s2") == expected


def test_references_are_what_is_stored() -> None:
    stored = chain()
    assert '"$from":"s0/report"' in stored["s1"]["inputs"]
    assert '"kept":2' in stored["s2"]["inputs"]
    assert LONG not in stored["s1"]["inputs"] + stored["s2"]["inputs"]


def test_a_mapping_that_grows_is_stored_as_what_changed() -> None:
    run = Run()
    names = [f"agent_{number}" for number in range(12)]
    for name in names:
        run.step({"results": {name: {"finding": LONG, "score": len(name)}}}, append=True, changed=None, remember=True)
    run.state["results"] = {name: run.state["results"][name] for name in names if name != "agent_3"}
    run.step({}, append=True, changed=None, remember=True)
    assert all(len(parts["inputs"]) < 2 * len(LONG) for parts in run.stored.values())
    assert '"dropped":["agent_3"]' in run.stored["s12"]["inputs"]
    assert whole(run.stored, "s12") == run.state
    assert whole(run.stored, "s9") == run.expected["s9", "inputs"]


def test_a_reference_to_a_span_that_is_not_there_stays() -> None:
    stored = chain()
    del stored["s0"]
    read = whole(stored, "s1")
    assert read["report"]["$from"] == "s0/report"
    assert [item["$from"] for item in read["notes"]] == ["s0/report", "s0/notes/1"]


@pytest.mark.parametrize(
    "inputs",
    [
        {"a": {"$same": "x"}},
        {"a": {"$same": "gone", "kept": 1, "added": []}},
        {"a": {"$same": "x", "kept": 1, "added": ["b"]}},
        {"a": {"$same": "x", "changed": {"b": 1}}},
        {"a": {"$from": "x/a"}},
        {"a": {"$from": "gone"}},
        {"a": {"$from": ""}},
        [{"$from": "x/0/deeper"}],
        {"$from": "x"},
        "no JSON",
        None,
    ],
)
def test_references_that_lead_nowhere_or_round_are_left_as_they_stand(inputs: Any) -> None:
    spans = {"x": {"inputs": inputs, "outputs": {"a": {"$from": "x/a"}}}}
    assert whole(spans, "x") == inputs


def test_an_unknown_span_or_no_spans_at_all_are_the_callers_mistake() -> None:
    with pytest.raises(KeyError):
        whole(chain(), "s9")
    with pytest.raises(TypeError, match="neither a trace nor spans"):
        whole(7, "s0")


def test_what_one_policy_cut_is_not_what_a_wider_one_refers_to() -> None:
    narrow, wide = StatePolicy(max_bytes=200), StatePolicy(max_bytes=10_000)
    ledger, state = StateLedger(), {"report": LONG, "notes": ["x" * 150] * 4}
    first = ledger.inputs("s0", state, narrow, True)
    ledger.outputs(state, narrow, brief=False, span_id="s0")
    second = ledger.inputs("s1", state, wide, True)
    assert b'"$cut"' in first
    assert json.loads(second) == state


def test_what_no_policy_cut_is_what_a_wider_one_refers_to() -> None:
    narrow, wide = StatePolicy(max_bytes=4_000), StatePolicy(max_bytes=10_000)
    findings: dict[str, object] = {"first": LONG}
    ledger, said = StateLedger(), {"report": LONG, "notes": ["x" * 150] * 4}
    ledger.inputs("s0", {**said, "findings": findings}, narrow, True)
    later = {**said, "findings": findings | {"second": "y"}}
    second = json.loads(ledger.inputs("s1", later, wide, True))
    assert [second[name]["$same"] for name in later] == ["s0"] * 3
    cut = {**later, "findings": later["findings"] | {"third": "z" * 5_000}}
    assert b'"$cut"' in ledger.inputs("s2", cut, narrow, True)
    assert b'"$cut"' not in ledger.inputs("s3", cut, wide, True)


def test_what_a_policy_leaves_out_is_never_referred_to() -> None:
    ledger, hidden = StateLedger(), StatePolicy(exclude=frozenset({"report"}))
    assert ledger.outputs({"report": LONG}, hidden, brief=False, span_id="s0") == b"{}"
    assert json.loads(ledger.inputs("s1", {"report": LONG}, POLICY, True)) == {"report": LONG}


def test_a_cut_value_tells_its_size_and_digest() -> None:
    stored = json.loads(StateLedger().inputs("s0", {"report": LONG}, StatePolicy(max_bytes=50), True))
    encoded = LONG.encode()
    assert stored["report"]["$cut"] == {"bytes": len(encoded), "sha256": hashlib.sha256(encoded).hexdigest()}
    assert stored["report"]["head"] == LONG[:50]


def test_numbers_too_big_and_names_no_text_can_hold_spoil_nothing_beside_them() -> None:
    stored = StateLedger().inputs("s0", {"big": 2**70, "text": LONG, "\ud800": LONG, "n": 1}, POLICY, True)
    assert json.loads(stored) == {"big": str(2**70), "text": LONG, "?": LONG, "n": 1}


READ = """
import json, sys
import mlflow
from tierlens.state import whole
mlflow.set_tracking_uri(sys.argv[1])
trace = mlflow.get_trace("tr-" + sys.argv[2])
print(json.dumps({span.name: whole(trace, span.span_id) for span in trace.data.spans}))
"""


@pytest.mark.server
def test_a_trace_of_mlflows_own_reads_whole(mlflow_server: StoredMlflow, tmp_path: Path, experiment: str) -> None:
    brand = experiment.replace("/", "-")
    nodes = {f"n{i}": lambda state, i=i: {"notes": [f"{i} {LONG}"]} for i in range(3)}
    lens = tierlens.init(journal_dir=tmp_path, config_dir=tmp_path, tracking_uri=mlflow_server.uri)
    try:
        lens.attach(graph(**nodes).compile(name="graph"), brand=brand).invoke({"question": LONG})
        assert lens.flush(timeout_s=30).pending == 0
    finally:
        lens.close()
    (trace_id,) = mlflow_server.trace_ids(f"tierlens/{brand}")
    done = subprocess.run(
        [sys.executable, "-c", READ, mlflow_server.uri, trace_id], capture_output=True, text=True, check=True
    )
    read = json.loads(done.stdout.splitlines()[-1])
    notes = [f"{i} {LONG}" for i in range(3)]
    assert [read[f"n{i}"] for i in range(3)] == [{"question": LONG, "notes": notes[:i]} for i in range(3)]
    assert read["graph"]["question"] == LONG
