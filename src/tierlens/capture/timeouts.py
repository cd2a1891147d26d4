"""Nodes that took longer than they may: LangGraph cancels one, and says why to its graph alone."""

from __future__ import annotations

from typing import Final

from langgraph.errors import NodeTimeoutError

from tierlens import keys
from tierlens.capture import outcomes, privacy
from tierlens.capture.outcomes import Outcome
from tierlens.capture.recorder import Recorder
from tierlens.capture.trace import Open

HANDLER: Final = "__error_handler__"
HANDLED: Final = Outcome(outcomes.ERROR, "timed out, or cancelled by itself")


def put(recorder: Recorder, graph: Open, error: NodeTimeoutError) -> None:
    """End the node that timed out with the error that its graph ends with, also where it has ended as cancelled."""
    going_on = [one for one in list(graph.trace.open) if one.parent is graph and one.is_node]
    tries = [*_cancelled(graph, error.node), *(one for one in going_on if one.name == error.node)]
    if not tries:
        return
    # Of several nodes of one name, Send's, the one that began when this one must have.
    began_ns = graph.trace.now() - int(error.elapsed * 1e9)
    node = min(tries, key=lambda one: abs(one.start_ns - began_ns))
    private, sources = not node.policy.log_prompts, privacy.shows_sources(node, recorder.policies)
    node.events += (outcomes.exception_event(error, graph.trace.now(), private=private, sources=sources),)
    outcome = outcomes.of_exception(error)
    if not node.end_ns:
        _end(recorder, node, outcome)
    else:
        recorder.rewrite(node, outcome, node.end_ns)


def handled(recorder: Recorder, handler: Open) -> None:
    """An error handler starts: the node it is for has failed, though it ended as cancelled."""
    graph = handler.parent
    for node in _cancelled(graph, handler.name.removeprefix(HANDLER)) if graph is not None else ():
        recorder.rewrite(node, HANDLED, node.end_ns)


def is_handled(node: Open) -> bool:
    """Whether an error handler has begun to work on what has become of a node."""
    graph, task = node.parent, f"{HANDLER}{node.name}:"
    begun = graph.attempts if graph is not None and graph.attempts else ()
    return any(namespace.rpartition("|")[2].startswith(task) for namespace in begun)


def _cancelled(graph: Open, name: str) -> list[Open]:
    failed = [one for one in (graph.failed or {}).values() if one.is_node and one.name == name]
    return [one for one in failed if one.attributes.get(keys.OUTCOME) == outcomes.CANCELLED]


def _end(recorder: Recorder, node: Open, outcome: Outcome) -> None:
    """End a node that has not noticed yet, with what is open in it."""
    inside = [one for one in list(node.trace.open) if one is not node and one.within(node)]
    for one in sorted(inside, key=lambda one: one.start_ns, reverse=True):
        recorder.finish(one, Outcome(outcomes.CANCELLED))
    recorder.finish(node, outcome)
