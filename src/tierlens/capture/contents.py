"""What went into a piece of work and what came out of it, as its policy has it stored."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from tierlens import keys
from tierlens.capture import measuring, outcomes, payload, previews, privacy, rag, state
from tierlens.capture.messages import as_message, is_message
from tierlens.capture.recorder import Recorder
from tierlens.capture.trace import Open
from tierlens.policy import AgentPolicy, StatePolicy

_FINDERS = frozenset({"RETRIEVER", "RERANKER"})
_STATEFUL = frozenset({"CHAIN", "AGENT"})
_CUT = '"$cut"'
UNREADABLE = '"<could not be read>"'


def put_inputs(recorder: Recorder, opened: Open, inputs: object) -> None:
    """Store a run's inputs as its policy allows: masked, as what changed in the state, or whole."""
    try:
        opened.attributes[keys.INPUTS] = _inputs(recorder, opened, inputs)
    except Exception as error:  # whatever a foreign object's own code raises
        opened.attributes[keys.INPUTS] = UNREADABLE
        recorder.shield.report("reading the inputs of a run", error)


def _inputs(recorder: Recorder, opened: Open, inputs: object) -> str:
    policy, trace = opened.policy, opened.trace
    if opened.kind == "RERANKER":
        opened.before = rag.documents_in(inputs)
    if not policy.log_prompts:
        privacy.given(opened, inputs)
        return _masked(inputs, None, _stored(opened))
    if trace.private.expected:
        privacy.recognise(opened, inputs)
    resumes = type(inputs).__name__ == "Command"
    fields, stored = (updates(inputs), policy.state) if resumes else (state.as_state(inputs), _stored(opened))
    if opened.parent is not None:
        return _given(opened, inputs, fields, stored)
    if fields is not None:
        fields = _as_chat(state.visible(fields, stored))
    asked = previews.question(inputs if fields is None or resumes else fields, recorder.policies.question)
    return _with_message(_given(opened, inputs, fields, stored), fields, "user", asked, policy)


def _stored(opened: Open) -> StatePolicy:
    """What is stored of a span's own keys: all that is not excluded where they are no keys of a state."""
    policy = opened.policy.state
    return policy if policy.include is None or _has_state(opened) else replace(policy, include=None)


def _has_state(opened: Open) -> bool:
    """Whether what went in and came out is a graph's state or an agent's own, not what a function was called with."""
    return not opened.is_call and (opened.kind in _STATEFUL or (opened.is_node and opened.kind != "TASK"))


def _masked(value: object, update: Mapping[Any, object] | None, policy: StatePolicy) -> str:
    """JSON of what may be said of a value, or of the state update in it, without its text."""
    fields = value if update is None and isinstance(value, Mapping) else update
    return payload.dumps(payload.masked(value if fields is None else state.visible(fields, policy)))


def _given(opened: Open, inputs: object, fields: Mapping[Any, object] | None, policy: StatePolicy) -> str:
    """JSON of inputs, of those with ``fields`` as what changed against what the trace already holds."""
    ledger = opened.trace.ledger
    if fields is None:
        return ledger.value(inputs, policy).decode()
    # What is held back may never be stored, so nothing may refer to it.
    held = opened.hold is not None or opened.own_hold is not None
    return ledger.inputs(opened.span_id, fields, policy, remember=not held).decode()


def _as_chat(fields: Mapping[Any, object], speaker: previews.Speaker | None = None) -> Mapping[Any, object]:
    """A root's state, its messages as MLflow renders them; the last one of ``speaker`` whole, by no reference."""
    messages = previews.chat(fields) if "messages" in fields else None
    if messages is None:
        return fields
    place = previews.last_of(messages, speaker) if speaker else None
    if place is not None and is_message(messages[place]):
        messages[place] = as_message(messages[place])
    return {**fields, "messages": messages}


def _with_message(
    text: str, fields: Mapping[Any, object] | None, speaker: previews.Speaker, said: str | None, policy: AgentPolicy
) -> str:
    """``text`` (JSON) with a chat message in front for MLflow's preview, unless its state's own chat shows it."""
    if said is None:
        return text
    chat = fields.get("messages") if fields else None
    if chat is not None and previews.shows(orjson.loads(text).get("messages") if _CUT in text else chat, speaker, said):
        return text
    message = payload.dumps({"messages": [{"role": speaker, "content": said[: policy.state.max_bytes]}]})
    if chat is not None and not text.startswith('{"$value":'):
        text = f'{{"$value":{text}}}'
    if not text.startswith("{"):
        return message[:-1] + f',"value":{text}}}'
    return message if text == "{}" else f"{message[:-1]},{text[1:]}"


def put_resumed(opened: Open) -> None:
    """Where the question of a root stands, say that it was resumed, if it was given nothing to resume with."""
    if opened.parent is None and opened.attributes.get(keys.INPUTS) == "null":
        opened.attributes[keys.INPUTS] = _with_message("null", None, "user", "Resumed", opened.policy)


def put_outputs(recorder: Recorder, opened: Open, output: object) -> None:
    """Store a run's outputs as its policy allows, and the custom metrics its policy finds in them."""
    try:
        outputs = _outputs(recorder, opened, output)
        # MLflow's list of traces would show the word.
        if opened.parent is not None or outputs != "null":
            opened.attributes[keys.OUTPUTS] = outputs
    except Exception as error:  # whatever a foreign object's own code raises
        opened.attributes[keys.OUTPUTS] = UNREADABLE
        recorder.shield.report("reading the outputs of a run", error)


def _outputs(recorder: Recorder, opened: Open, output: object) -> str:
    policy, trace = opened.policy, opened.trace
    update = None if type(output) is dict else updates(output)
    # Whoever makes an update, its keys are those of the state.
    stored = _stored(opened) if update is None else policy.state
    if policy.metrics:
        measuring.measure_outputs(recorder, opened, update if update is not None else output)
    documents = rag.documents_in(output) if opened.kind in _FINDERS else []
    if opened.kind == "RETRIEVER":
        rag.retrieved(opened, documents)
    elif opened.before is not None:
        rag.reranked(opened, opened.before, documents or rag.picked(opened.before, output))
    if not policy.log_prompts:
        privacy.remember(opened, output)
        return _masked(output, update, stored)
    if trace.private.expected:
        privacy.recognise(opened, output)
    if documents:
        return _documents(opened, output, documents)
    fields = update if update is not None else state.as_state(output)
    if opened.parent is not None:
        return _produced(opened, output, fields, stored)
    if fields is not None:
        fields = _as_chat(state.visible(fields, stored), "assistant")
    said = _said(recorder, opened, output if fields is None or update is not None else fields)
    return _with_message(_produced(opened, output, fields, stored), fields, "assistant", said, policy)


def _produced(opened: Open, output: object, fields: Mapping[Any, object] | None, policy: StatePolicy) -> str:
    """JSON of outputs, what the trace already holds of them by reference."""
    ledger = opened.trace.ledger
    if fields is None:
        return ledger.value(state.routed(output, opened.policy.state), policy).decode()
    # What is held back may never be stored, so nothing may refer to it.
    quotable = opened.is_node and opened.hold is None and opened.own_hold is None
    span_id = opened.span_id if quotable else ""
    return ledger.outputs(fields, policy, brief=opened.parent is None, span_id=span_id).decode()


def _said(recorder: Recorder, opened: Open, output: object) -> str | None:
    """The answer of a root; of one that waits for a person, what it asks."""
    if opened.outcome is not None and opened.outcome.word == outcomes.INTERRUPTED and opened.outcome.detail:
        return previews.waiting(opened.outcome.detail)
    return previews.answer(output, recorder.policies.answer)


def _documents(opened: Open, output: object, documents: list[dict[str, Any]]) -> str:
    """Documents as MLflow's retriever view reads them; other spans may refer to them from here."""
    if isinstance(output, list) and opened.hold is None and opened.own_hold is None:
        for place, document in enumerate(output):
            pointer = f"{place}/page_content" if isinstance(document, str) else str(place)
            opened.trace.ledger.remember(document, opened.span_id, pointer)
    return payload.dumps(documents)


def updates(output: object) -> Mapping[Any, object] | None:
    """The state update in a node's output, where it stands in one or several ``Command``s; None where it does not."""
    if type(output) is dict:
        return None
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
