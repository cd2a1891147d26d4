"""Graphs, nodes and chains: what a run is, and how it ended."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from langgraph.errors import GraphInterrupt, NodeTimeoutError

from tierlens import keys
from tierlens.capture import contents, outcomes, payload, privacy, timeouts
from tierlens.capture.graphs import tries_of_task
from tierlens.capture.outcomes import Outcome
from tierlens.capture.recorder import Recorder
from tierlens.capture.trace import Context, Open
from tierlens.policy import AgentPolicy
from tierlens.spans import Event

MAX_EVENTS = 128
_RETRY = "retry:attempt:"
_ASKED = (keys.SPAN_TYPE, keys.INPUTS, keys.MODEL, keys.PARAMS)
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
    namespace = metadata.get("langgraph_checkpoint_ns") or ""
    # The first run in a checkpoint namespace; the runs inside it inherit its metadata.
    inside = parent is not None and parent.namespace == namespace
    is_node = bool(namespace) and not inside and metadata.get("langgraph_node") == name
    agent, policy = "", None
    if is_node or recorder.policies.agents:
        agent, policy = _agent(recorder, name, metadata, parent, is_node)
    elif parent is not None and parent.kind == "TOOL" and metadata.get("lc_agent_name") == name:
        # A graph that LangChain names an agent and another agent asks; a node's goes by the name of the node.
        agent = name
    kind = "AGENT" if agent else _kind(recorder, name, metadata, is_node)
    opened = recorder.start(key, name, kind, parent=parent, context=context, policy=policy, agent=agent)
    opened.is_node, opened.namespace = is_node, namespace
    if parent is None and (thread := metadata.get("thread_id")):
        opened.trace.thread = str(thread)
        if opened.trace.session is None:
            opened.trace.session = str(thread)
    if opened.recording:
        if is_node and parent is not None:
            _count_attempt(opened, parent)
        contents.put_inputs(recorder, opened, inputs)
    return opened


def _agent(
    recorder: Recorder, name: str, metadata: Mapping[str, Any], parent: Open | None, is_node: bool
) -> tuple[str, AgentPolicy | None]:
    """The agent this run is, with its policy: by node name, by ``metadata={"agent": …}``, or as a graph's own name."""
    policies = recorder.policies
    if not policies.agents:
        return _unnamed(name, metadata, parent), None
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
    outermost = parent is None or not parent.in_node
    return name if outermost and not name.startswith("__") else ""


def _kind(recorder: Recorder, name: str, metadata: Mapping[str, Any], is_node: bool) -> str:
    if named := recorder.policies.runnables.get(name):
        return _KINDS[named]
    path = metadata.get("langgraph_path") or ()
    called = is_node and path[:1] == ("__pregel_push",) and path[-1:] == (True,)
    return "TASK" if called else "CHAIN"


def _count_attempt(opened: Open, graph: Open) -> None:
    """Every try of a task starts anew in the same namespace; who tried before was then retried, not lost."""
    attempts, namespace = graph.attempts, opened.namespace
    if attempts is None:
        attempts = graph.attempts = {}
    attempt = attempts[namespace] = attempts.get(namespace, 0) + 1
    most = tries_of_task() if opened.kind == "TASK" else graph.limits.get(opened.name, 0)
    if attempt > 1 or most > 1:
        opened.attributes[keys.ATTEMPT] = attempt
        if most > 1:
            opened.attributes[keys.MAX_ATTEMPTS] = most


def mark_retried(recorder: Recorder, opened: Open) -> None:
    """Journal the failed try before this one again, now that it is known to have been retried."""
    graph = opened.parent
    failed = graph.failed.pop(_task(opened), None) if graph is not None and graph.failed else None
    if failed is not None and failed.recording:
        detail = str(failed.attributes.get(keys.OUTCOME_DETAIL, ""))
        recorder.rewrite(failed, Outcome(outcomes.RETRIED, detail), failed.end_ns)


def count_retry(recorder: Recorder, opened: Open, tags: Iterable[str] | None = None) -> None:
    """``with_retry`` says by a tag which try a run is, an error handler by its name whose; that it had failed before is
    known from its parent."""
    if opened.name.startswith(timeouts.HANDLER):
        timeouts.handled(recorder, opened)
    failed = opened.parent.failed if opened.parent is not None else None
    before = failed.get(_task(opened)) if failed else None
    attempts = (tag.removeprefix(_RETRY) for tag in tags or () if tag.startswith(_RETRY))
    if (said := next(attempts, "")).isdigit():
        attempt = int(said)
    elif before is not None and _is_again(opened, before):
        attempt = int(before.attributes.get(keys.ATTEMPT, 1)) + 1
    else:
        return
    opened.attributes[keys.ATTEMPT] = attempt
    if before is not None:
        before.attributes[keys.ATTEMPT] = attempt - 1
        mark_retried(recorder, opened)


def _is_again(opened: Open, before: Open) -> bool:
    """Whether it is what had failed, though nobody says so: a tool call has an id; a model, or a decorated function, is
    asked the same again. Others of one name may be others, as a retriever's fallback is."""
    if keys.TOOL_CALL_ID in opened.attributes:
        return True
    known = opened.is_call or keys.MODEL in opened.attributes
    return (
        known
        and opened.policy.log_prompts
        and all(opened.attributes.get(key) == before.attributes.get(key) for key in _ASKED)
    )


def _task(opened: Open) -> str:
    """What a try shares with the next one: a node's namespace, or a run's name, with its call's id if it has one."""
    if opened.is_node and opened.namespace:
        return opened.namespace
    call = opened.attributes.get(keys.TOOL_CALL_ID)
    return f"{opened.name} {call}" if call else opened.name


def given(recorder: Recorder, opened: Open, inputs: object) -> None:
    """Store the inputs of a chain that streams: only at its end does LangChain know them."""
    if opened.recording:
        contents.put_inputs(recorder, opened, inputs)


def end(recorder: Recorder, opened: Open, output: object) -> None:
    """End a run that returned."""
    try:
        if opened.recording:
            contents.put_outputs(recorder, opened, output)
    finally:
        recorder.finish(opened, ended_as(opened, outcomes.of_output(output)))


def ended_as(opened: Open, outcome: Outcome) -> Outcome:
    """``outcome``, unless the graph was interrupted on the way, or is one that resumed and is now done."""
    return outcome if opened.outcome is None or outcome.word != outcomes.OK else opened.outcome


def note_event(opened: Open, name: str, data: str) -> None:
    """Put a custom event dispatched inside a run on its span."""
    if len(opened.events) < MAX_EVENTS:
        opened.events += (Event(name, opened.trace.now(), {"data": data}),)


def fail(recorder: Recorder, opened: Open, error: BaseException) -> None:
    """End a run that raised, which need not mean that it failed."""
    outcome = Outcome(outcomes.ERROR, type(error).__name__)
    try:
        if isinstance(error, NodeTimeoutError):
            timeouts.put(recorder, opened, error)
        outcome = ended_as(opened, outcomes.of_exception(error))
        if outcome.word == outcomes.CANCELLED and opened.is_node and timeouts.is_handled(opened):
            outcome = timeouts.HANDLED
        outcome = _waiting(opened, error, outcome)
        _put_failure(recorder, opened, error, outcome)
        if opened.recording and keys.OUTPUTS not in opened.attributes:
            _put_carried(recorder, opened, error, outcome)
    finally:
        recorder.finish(opened, outcome)


def _waiting(opened: Open, error: BaseException, outcome: Outcome) -> Outcome:
    """Work that is left, or cancelled, after it has asked a person waits for the answer: whoever reads a stream leaves
    it there, and goes on from there."""
    if isinstance(error, GraphInterrupt):
        opened.waiting = outcomes.questions(error)
    elif outcome.word in outcomes.LEFT:
        if opened.outcome is not None and opened.outcome.word == outcomes.INTERRUPTED:
            outcome = opened.outcome
        elif opened.waiting:
            outcome = Outcome(outcomes.INTERRUPTED, outcomes.interrupt_payload(opened.waiting))
    if outcome.word == outcomes.INTERRUPTED and opened.parent is not None:
        opened.parent.waiting += opened.waiting
    return outcome


def _put_failure(recorder: Recorder, opened: Open, error: BaseException, outcome: Outcome) -> None:
    private = not opened.policy.log_prompts
    if private:
        privacy.remember(opened, outcomes.carried(error))
    if outcome.word == outcomes.ERROR:
        sources = privacy.shows_sources(opened, recorder.policies)
        event = outcomes.exception_event(error, opened.trace.now(), private=private, sources=sources)
        opened.events += (event,)
    # A cancelled node may turn out to have timed out, and be tried again.
    failed = outcome.word == outcomes.ERROR or (outcome.word == outcomes.CANCELLED and opened.is_node)
    if failed and opened.parent is not None:
        opened.parent.failed = {**(opened.parent.failed or {}), _task(opened): opened}


def _put_carried(recorder: Recorder, opened: Open, error: BaseException, outcome: Outcome) -> None:
    """What control flow carries away by raising it is what the run put out: a question, or a state update."""
    if isinstance(error, GraphInterrupt) and outcome.detail and opened.policy.log_prompts:
        opened.attributes[keys.OUTPUTS] = payload.dumps({"interrupt": outcomes.asked(error)})
    elif outcome.word == outcomes.HANDED_OFF and error.args:
        contents.put_outputs(recorder, opened, error.args[0])
