"""LangChain's and LangGraph's callbacks, turned into starts and ends for the recorder.

The handler runs inline: async graphs pay no thread hop, and order
is kept. It holds nothing but the recorder and a context, so one handler serves any number of calls at once.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langgraph.callbacks import GraphCallbackHandler, GraphInterruptEvent, GraphResumeEvent

from tierlens import keys
from tierlens.capture import autolog, chains, contents, current, models, outcomes, payload, rag, resuming
from tierlens.capture.graphs import calling_graph, max_attempts, streamed_input
from tierlens.capture.inline import shuts_others_out
from tierlens.capture.pauses import Pauses
from tierlens.capture.recorder import Recorder
from tierlens.capture.shield import shielded
from tierlens.capture.trace import Context, Open
from tierlens.spans import NONE

BrandOf = Callable[[object], str | None]


class MlflowCallbackHandler(GraphCallbackHandler):
    """Records every run of a graph call as a span, for sync and async graphs alike.

    Built by ``Lens.callback``; safe to share between threads, tasks and calls.

    Args:
        recorder: the lens's recorder.
        context: for whom and about what the calls are made.
        pauses: where interrupted threads are remembered for the trace that resumes them.
        brand_of: reads the brand from a root's inputs, where it is not given.
    """

    raise_error = False

    def __init__(self, recorder: Recorder, context: Context, pauses: Pauses, brand_of: BrandOf | None = None) -> None:
        self._recorder = recorder
        self._context = context
        self._pauses = pauses
        self._brand_of = brand_of
        self.shield = recorder.shield
        self.raise_error = recorder.shield.strict

    @property
    def run_inline(self) -> bool:  # type: ignore[override]  # an attribute up there, and only ever read
        return not shuts_others_out(MlflowCallbackHandler)

    def __deepcopy__(self, memo: dict[int, object]) -> MlflowCallbackHandler:
        return self

    def _parent(self, parent_run_id: UUID | None) -> Open | None:
        """The span a run starts below: LangChain's parent, or a decorated call inside it that is still open."""
        recorder = self._recorder
        parent = recorder.open.get(parent_run_id.int) if parent_run_id is not None else None
        if parent is None:
            return current.current(recorder)
        own = current.decorated(recorder)
        return own if own is not None and own is not parent and own.within(parent) else parent

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        try:
            recorder, key = self._recorder, run_id.int
            if key in recorder.open:
                return
            parent = self._parent(parent_run_id)
            if parent is None and autolog.take_over():
                # autolog's tracer is in this call's callbacks already, and records it with all that runs inside.
                recorder.start(key, "autolog", "CHAIN", parent=None, context=self._context).recording = False
                return
            opened = chains.start(
                recorder,
                key,
                str(kwargs.get("name") or _name(serialized)),
                inputs,
                parent=parent,
                context=self._context if parent else self._context_for(inputs),
                metadata=metadata or NONE,
            )
            if not opened.is_node and metadata and "ls_integration" in metadata and (graph := calling_graph()):
                opened.limits = max_attempts(graph)
            if opened.attributes.get(keys.ATTEMPT, 1) != 1:
                chains.mark_retried(recorder, opened)
            elif parent is not None and parent.failed:
                chains.count_retry(recorder, opened, tags)
            recorder.started(opened)
        except Exception as error:
            self.shield.report("on_chain_start", error)

    def _context_for(self, inputs: Any) -> Context:
        context = self._context
        if self._brand_of is not None and context.brand is None:
            brand = self._brand_of(inputs) or self._brand_of(streamed_input(inputs))
            context = current.with_brand(context, brand)
        ambient = current.ambient_context()
        return current.merged(context, ambient) if ambient is not None else context

    def on_chain_end(self, outputs: Any, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None:
        try:
            if opened := self._recorder.open.get(run_id.int):
                if inputs is not None:
                    chains.given(self._recorder, opened, inputs)
                chains.end(self._recorder, opened, outputs)
                if opened.resumed_at:
                    resuming.moved_on(opened, self._pauses)
        except Exception as error:
            self.shield.report("on_chain_end", error)

    @shielded
    def on_chain_error(self, error: BaseException, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None:
        if opened := self._recorder.open.get(run_id.int):
            if inputs is not None:
                chains.given(self._recorder, opened, inputs)
            chains.fail(self._recorder, opened, error)

    @shielded
    def on_interrupt(self, event: GraphInterruptEvent) -> None:
        if event.run_id is not None and (opened := self._recorder.open.get(event.run_id.int)):
            resuming.interrupted(opened, self._pauses, event.checkpoint_id, event.interrupts, event.status)

    @shielded
    def on_resume(self, event: GraphResumeEvent) -> None:
        if event.run_id is not None and (opened := self._recorder.open.get(event.run_id.int)):
            resuming.resumed(opened, self._pauses, event.checkpoint_id)
            contents.put_resumed(opened)

    def on_chat_model_start(
        self,
        serialized: dict[str, Any] | None,
        messages: list[list[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name = str(kwargs.get("name") or _name(serialized))
        self._start_model("CHAT_MODEL", name, messages[0] if messages else [], run_id, parent_run_id, metadata, kwargs)

    def on_llm_start(
        self,
        serialized: dict[str, Any] | None,
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name = str(kwargs.get("name") or _name(serialized))
        self._start_model("LLM", name, prompts, run_id, parent_run_id, metadata, kwargs)

    def _start_model(
        self,
        kind: str,
        name: str,
        messages: Sequence[object],
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: Mapping[str, Any] | None,
        kwargs: Mapping[str, Any],
    ) -> None:
        try:
            recorder, key = self._recorder, run_id.int
            if key in recorder.open:
                return
            parent = self._parent(parent_run_id)
            context = self._context if parent else self._context_for(messages)
            opened = recorder.start(key, name, kind, parent=parent, context=context)
            if opened.recording:
                models.describe(opened, messages, kwargs.get("invocation_params") or NONE, metadata or NONE)
                if parent is not None and parent.failed:
                    chains.count_retry(recorder, opened, kwargs.get("tags"))
            recorder.started(opened)
        except Exception as error:
            self.shield.report("the start of a model call", error)

    def on_llm_new_token(
        self,
        token: Any,
        *,
        chunk: Any = None,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        # Once a token: no shield, nothing that can raise, and no keywords to gather into a dict.
        opened = self._recorder.open.get(run_id.int)
        if opened is not None and not opened.first_token_ns:
            opened.first_token_ns = opened.trace.now()

    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        opened = self._recorder.open.get(run_id.int)
        if opened is not None and not opened.first_token_ns and event.get("event") == "content-block-delta":
            opened.first_token_ns = opened.trace.now()

    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        try:
            if opened := self._recorder.open.get(run_id.int):
                try:
                    models.end(opened, response)
                finally:
                    self._recorder.finish(opened, outcomes.FINE)
        except Exception as error:
            self.shield.report("on_llm_end", error)

    @shielded
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        if opened := self._recorder.open.get(run_id.int):
            partial = kwargs.get("response")
            try:
                if partial is not None and getattr(partial, "generations", None):
                    models.end(opened, partial)
            finally:
                chains.fail(self._recorder, opened, error)

    @shielded
    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if run_id.int in self._recorder.open:
            return
        parent = self._parent(parent_run_id)
        context = self._context if parent else self._context_for(inputs)
        opened = self._recorder.start(
            run_id.int, str(kwargs.get("name") or _name(serialized)), "TOOL", parent=parent, context=context
        )
        if opened.recording:
            contents.put_inputs(self._recorder, opened, inputs if inputs is not None else _parsed(input_str))
            if call := kwargs.get("tool_call_id"):
                opened.attributes[keys.TOOL_CALL_ID] = str(call)
            if parent is not None and parent.failed:
                chains.count_retry(self._recorder, opened, kwargs.get("tags"))
        self._recorder.started(opened)

    @shielded
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        if opened := self._recorder.open.get(run_id.int):
            chains.end(self._recorder, opened, output)

    @shielded
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        if opened := self._recorder.open.get(run_id.int):
            chains.fail(self._recorder, opened, error)

    @shielded
    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if run_id.int in self._recorder.open:
            return
        parent = self._parent(parent_run_id)
        context = self._context if parent else self._context_for(query)
        name = str(kwargs.get("name") or _name(serialized))
        opened = self._recorder.start(run_id.int, name, "RETRIEVER", parent=parent, context=context)
        if opened.recording:
            contents.put_inputs(self._recorder, opened, {"query": query})
            if parent is not None and parent.failed:
                chains.count_retry(self._recorder, opened, kwargs.get("tags"))
        self._recorder.started(opened)

    @shielded
    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **kwargs: Any) -> None:
        if opened := self._recorder.open.get(run_id.int):
            rag.compressed(opened, documents)
            chains.end(self._recorder, opened, list(documents))

    @shielded
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        if opened := self._recorder.open.get(run_id.int):
            chains.fail(self._recorder, opened, error)

    @shielded
    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        if (opened := self._recorder.open.get(run_id.int)) and opened.policy.log_prompts:
            chains.note_event(opened, name, payload.text(data, 4_096))


class SilentHandler(BaseCallbackHandler):
    """What a Lens that is turned off hands out: LangChain skips it at every event."""

    run_inline = True
    ignore_llm = ignore_chain = ignore_agent = ignore_retriever = ignore_chat_model = True
    ignore_retry = ignore_custom_event = True


def _name(serialized: Mapping[str, Any] | None) -> str:
    """As LangChain's own tracers name a run that was not given a name."""
    if serialized:
        if name := serialized.get("name"):
            return str(name)
        if path := serialized.get("id"):
            return str(path[-1])
    return "Unnamed"


def _parsed(text: str) -> object:
    """A tool's arguments where LangChain hands over nothing but their ``str``."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
