"""Graphs, nodes and chains: what a run is, what went in, what came out, how it ended."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping
from typing import Any

from tierlens import keys
from tierlens.capture import outcomes, payload, previews, privacy, rag, state
from tierlens.capture.outcomes import Outcome
from tierlens.capture.paths import as_metric, lookup
from tierlens.capture.recorder import Recorder
from tierlens.capture.trace import Context, Open
from tierlens.policy import AgentPolicy
from tierlens.spans import Event

MAX_EVENTS = 128
_KINDS = {"retriever": "RETRIEVER", "reranker": "RERANKER", "tool": "TOOL", "agent": "AGENT"} | {
    "embedding": "EMBEDDING",
    "guardrail": "GUARDRAIL",
}


def start(
    recorder: Recorder,
    key: Hashable,
    name: str,
    inputs: object,
    *,
    parent: Open | None,
    context: Context,
    metadata: Mapping[str, Any],
) -> Open:
    """Open the span of a chain run: an agent's or another node's, a graph's, a named runnable's, or a plain chain's."""
    is_node = _is_node(name, metadata, parent)
    agent, policy = _agent(recorder, name, metadata, parent, is_node)
    kind = "AGENT" if agent else _kind(recorder, name, metadata, is_node)
    opened = recorder.start(key, name, kind, parent=parent, context=context, policy=policy, agent=agent)
    opened.is_node = is_node
    if opened.parent is None and opened.trace.session is None and (thread := metadata.get("thread_id")):
        opened.trace.session = str(thread)
    if not opened.recording:
        return opened
    _describe(opened, metadata, is_node)
    put_inputs(recorder, opened, inputs)
    return opened


def _is_node(name: str, metadata: Mapping[str, Any], parent: Open | None) -> bool:
    """A node's or task's run is the first in a checkpoint namespace; the runs inside it inherit its metadata."""
    namespace = metadata.get("langgraph_checkpoint_ns")
    if not namespace or metadata.get("langgraph_node") != name:
        return False
    return parent is None or parent.namespace != namespace


def _agent(
    recorder: Recorder, name: str, metadata: Mapping[str, Any], parent: Open | None, is_node: bool
) -> tuple[str, AgentPolicy | None]:
    """The agent this run is, with its policy: by node name, by ``metadata={"agent": …}``, or as a graph's own name."""
    policies = recorder.policies
    if not policies.agents:
        return (_unnamed(name, metadata, parent), None) if is_node else ("", None)
    inside = parent.agent if parent else ""
    labels = (name, metadata.get("agent")) if is_node else (name,)
    for label in labels:
        policy = policies.agents.get(label) if label else None
        if policy is not None and policy.agent != inside:
            return policy.agent, policy
    label = metadata.get("agent") if is_node else None
    return (str(label), None) if label and label != inside else ("", None)


def _unnamed(name: str, metadata: Mapping[str, Any], parent: Open | None) -> str:
    """The agent a node is where no agent has a file: by its metadata, or because it is one of the outermost graph's."""
    if label := metadata.get("agent"):
        return str(label) if parent is None or label != parent.agent else ""
    outermost = parent is None or not (parent.is_node or parent.node_depth)
    return name if outermost and not name.startswith("__") else ""


def _kind(recorder: Recorder, name: str, metadata: Mapping[str, Any], is_node: bool) -> str:
    if named := recorder.policies.runnables.get(name):
        return _KINDS[named]
    path = metadata.get("langgraph_path") or ()
    called = is_node and path[:1] == ("__pregel_push",) and path[-1:] == (True,)
    return "TASK" if called else "CHAIN"


def _describe(opened: Open, metadata: Mapping[str, Any], is_node: bool) -> None:
    opened.namespace = metadata.get("langgraph_checkpoint_ns") or ""
    attributes = opened.attributes
    if opened.agent and opened.kind == "AGENT":
        if opened.agent != opened.name:
            attributes[keys.AGENT] = opened.agent
        if opened.policy.tier is not None:
            attributes[keys.TIER] = opened.policy.tier
    if is_node and opened.parent is not None:
        _count_attempt(opened, opened.namespace)


def _count_attempt(opened: Open, namespace: str) -> None:
    """Every try of a task starts anew in the same namespace; who tried before was then retried, not lost."""
    graph = opened.parent
    if graph is None:
        return
    attempts = graph.attempts
    if attempts is None:
        attempts = graph.attempts = {}
    attempt = attempts[namespace] = attempts.get(namespace, 0) + 1
    most = graph.limits.get(opened.name, 0)
    if attempt > 1 or most > 1:
        opened.attributes[keys.ATTEMPT] = attempt
        if most:
            opened.attributes[keys.MAX_ATTEMPTS] = most


def mark_retried(recorder: Recorder, opened: Open) -> None:
    """Journal the failed try before this one again, now that it is known to have been retried."""
    graph = opened.parent
    failed = graph.failed.pop(opened.namespace, None) if graph is not None and graph.failed else None
    if failed is not None:
        detail = str(failed.attributes.get(keys.OUTCOME_DETAIL, ""))
        recorder.rewrite(failed, Outcome(outcomes.RETRIED, detail), failed.end_ns)


def put_inputs(recorder: Recorder, opened: Open, inputs: object) -> None:
    """Store a run's inputs as its policy allows: masked, as what changed in the state, or whole."""
    policy = opened.policy
    if opened.kind == "RERANKER":
        opened.before = rag.documents_in(inputs)
    if not policy.log_prompts:
        privacy.given(opened, inputs)
        opened.attributes[keys.INPUTS] = payload.dumps(payload.masked(inputs))
        return
    fields = updates(inputs) if type(inputs).__name__ == "Command" else state.as_state(inputs)
    if fields is None:
        text = opened.trace.ledger.value(inputs, policy.state).decode()
    else:
        held = opened.hold is not None or opened.own_hold is not None
        text = opened.trace.ledger.inputs(opened.span_id, fields, policy.state, remember=not held).decode()
    if opened.parent is None:
        asked = previews.question(_visible(inputs, fields, policy), recorder.policies.question)
        text = _with_message(text, fields, "user", asked, policy)
    opened.attributes[keys.INPUTS] = text


def _visible(value: object, fields: Mapping[Any, object] | None, policy: AgentPolicy) -> object:
    """What a preview may be taken from: of a state, the keys that the policy stores."""
    if fields is None or type(value).__name__ == "Command":
        return value
    return state.visible(fields, policy.state)


def _with_message(
    text: str, fields: Mapping[Any, object] | None, role: str, said: str | None, policy: AgentPolicy
) -> str:
    """``text`` (JSON) with a chat message in front for MLflow's preview, unless its state has a chat of its own."""
    if said is None or (fields is not None and previews.has_messages(fields)) or (fields and "messages" in fields):
        return text
    message = payload.dumps({"messages": [{"role": role, "content": said[: policy.state.max_bytes]}]})
    if not text.startswith("{"):
        return message[:-1] + f',"value":{text}}}'
    return message if text == "{}" else f"{message[:-1]},{text[1:]}"


def end(recorder: Recorder, opened: Open, output: object) -> None:
    """End a run that returned."""
    if opened.recording:
        put_outputs(recorder, opened, output)
        if opened.before is not None:
            rag.reranked(opened, opened.before, rag.documents_in(output))
        if opened.kind == "RETRIEVER":
            rag.retrieved(opened, rag.documents_in(output))
    recorder.finish(opened, ended_as(opened, outcomes.of_output(_single(output))))


def put_outputs(recorder: Recorder, opened: Open, output: object) -> None:
    """Store a run's outputs as its policy allows, and the custom metrics its policy finds in them."""
    policy = opened.policy
    update = updates(output)
    measure(opened, update if update is not None else output)
    if not policy.log_prompts:
        privacy.remember(opened, output)
        opened.attributes[keys.OUTPUTS] = payload.dumps(payload.masked(update if update is not None else output))
        return
    if opened.kind in ("RETRIEVER", "RERANKER") and (documents := rag.documents_in(output)):
        _put_documents(opened, output, documents)
        return
    fields = update if update is not None else state.as_state(output)
    if fields is None:
        text = opened.trace.ledger.value(output, policy.state).decode()
    else:
        # What is held back may never be stored, so nothing may refer to it.
        quotable = opened.is_node and opened.hold is None and opened.own_hold is None
        span_id = opened.span_id if quotable else ""
        text = opened.trace.ledger.outputs(fields, policy.state, brief=opened.parent is None, span_id=span_id).decode()
    if opened.parent is None:
        said = _said(recorder, opened, _visible(output, fields, policy))
        text = _with_message(text, fields, "assistant", said, policy)
    opened.attributes[keys.OUTPUTS] = text


def _said(recorder: Recorder, opened: Open, output: object) -> str | None:
    """The answer of a root; of one that waits for a person, what it asks."""
    if opened.outcome is not None and opened.outcome.word == outcomes.INTERRUPTED and opened.outcome.detail:
        return previews.waiting(opened.outcome.detail)
    return previews.answer(output, recorder.policies.answer)


def _put_documents(opened: Open, output: object, documents: list[dict[str, Any]]) -> None:
    """Documents as MLflow's retriever view reads them; other spans may refer to them from here."""
    opened.attributes[keys.OUTPUTS] = payload.dumps(documents)
    if isinstance(output, list) and opened.hold is None and opened.own_hold is None:
        for place, document in enumerate(output):
            opened.trace.ledger.remember(document, opened.span_id, str(place))


def updates(output: object) -> Mapping[Any, object] | None:
    """The state update in a node's output, where it stands in one or several ``Command``s; None where it does not."""
    commands = output if isinstance(output, list) else [output]
    if not commands or any(type(command).__name__ != "Command" for command in commands):
        return None
    pairs = itertools.chain.from_iterable(_pairs(getattr(command, "update", None)) for command in commands)
    merged = dict(pairs)
    if goals := ", ".join(goal for command in commands if (goal := outcomes.goal(command))):
        merged["goto"] = goals
    if (answer := getattr(commands[0], "resume", None)) is not None:
        merged["resume"] = answer
    return merged


def _pairs(update: object) -> list[tuple[Any, Any]]:
    if isinstance(update, Mapping):
        return list(update.items())
    if isinstance(update, list | tuple):
        return [pair for pair in update if isinstance(pair, tuple) and len(pair) == 2]
    fields = state.as_state(update)
    return list(fields.items()) if fields else []


def _single(output: object) -> object:
    return output[0] if isinstance(output, list) and len(output) == 1 else output


def measure(opened: Open, outputs: object) -> None:
    """Read the metrics that the agent's YAML names out of its outputs."""
    if opened.kind != "AGENT" and opened.parent is not None:
        return
    for name, path in opened.policy.metrics.items():
        value = as_metric(lookup({"outputs": outputs}, path))
        if value is not None:
            opened.measure(name, value)


def ended_as(opened: Open, outcome: Outcome) -> Outcome:
    """``outcome``, unless the graph was interrupted on the way, or is one that resumed and is now done."""
    return opened.outcome if opened.outcome is not None and outcome.word == outcomes.OK else outcome


def note_event(opened: Open, name: str, data: str) -> None:
    """Put a custom event dispatched inside a run on its span."""
    if len(opened.events) < MAX_EVENTS:
        opened.events += (Event(name, opened.trace.now(), {"data": data}),)


def fail(recorder: Recorder, opened: Open, error: BaseException) -> None:
    """End a run that raised, which need not mean that it failed."""
    outcome = ended_as(opened, outcomes.of_exception(error))
    if not opened.policy.log_prompts:
        privacy.remember(opened, outcomes.carried(error))
    if outcome.word == outcomes.ERROR:
        opened.events += (outcomes.exception_event(error, opened.trace.now(), private=not opened.policy.log_prompts),)
        if opened.is_node and opened.parent is not None and opened.namespace:
            opened.parent.failed = {**(opened.parent.failed or {}), opened.namespace: opened}
    recorder.finish(opened, outcome)
