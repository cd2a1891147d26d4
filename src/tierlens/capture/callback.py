"""LangChain's and LangGraph's callbacks, turned into starts and ends for the recorder.

The handler runs inline: async graphs pay no thread hop, and order is kept. It holds nothing but the recorder and a
context, so one handler serves any number of calls at once.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.base import BaseTracer
from langgraph.callbacks import GraphInterruptEvent, GraphResumeEvent

from tierlens import keys
from tierlens.capture import autolog, chains, contents, payload, resuming
from tierlens.capture.callback_models import ModelCallbacks
from tierlens.capture.callback_runs import name_of
from tierlens.capture.callback_tools import ToolCallbacks
from tierlens.capture.ended import facts_of
from tierlens.capture.graphs import calling_graph, is_left_early, max_attempts
from tierlens.capture.inline import shuts_others_out
from tierlens.capture.outcomes import ABANDONED, Outcome
from tierlens.capture.shield import shielded
from tierlens.capture.trace import Context
from tierlens.spans import NONE


class MlflowCallbackHandler(ModelCallbacks, ToolCallbacks):
    """Records every run of a graph call as a span, for sync and async graphs alike.

    Built by ``Lens.callback``; safe to share between threads, tasks and calls.
    """

    # LangChain asks before every event; up there each is a property, and so a call.
    ignore_llm = ignore_chain = ignore_agent = ignore_retriever = ignore_chat_model = False
    ignore_retry = ignore_custom_event = False

    @property
    def run_inline(self) -> bool:  # type: ignore[override]  # an attribute up there, and only ever read
        return not shuts_others_out(MlflowCallbackHandler)

    def __deepcopy__(self, memo: dict[int, object]) -> MlflowCallbackHandler:
        return self

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        try:
            recorder, key = self._recorder, run_id.int
            if (place := self._place(run_id, parent_run_id, inputs, metadata)) is None:
                return
            parent, context = place
            if parent is None and autolog.take_over():
                self._leave_to_autolog(key, context)
                return
            opened = chains.start(
                recorder,
                key,
                str(name or name_of(serialized)),
                inputs,
                parent=parent,
                context=context,
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

    def _leave_to_autolog(self, key: int, context: Context) -> None:
        """Its tracer is in this call's callbacks already, and records it with all that runs inside."""
        theirs = self._recorder.start(key, "autolog", "CHAIN", parent=None, context=context)
        theirs.recording = False
        theirs.facts = facts_of(theirs)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None:
        try:
            if opened := self._recorder.open.get(run_id.int):
                if inputs is not None:
                    chains.given(self._recorder, opened, inputs)
                    if is_left_early():
                        opened.outcome = opened.outcome or Outcome(ABANDONED)
                chains.end(self._recorder, opened, outputs)
                if opened.resumed_at:
                    resuming.moved_on(opened, self._pauses)
                if opened.parent is None and opened.trace.thread:
                    resuming.leave(opened, self._pauses, self._brand_of is not None)
        except Exception as error:
            self.shield.report("on_chain_end", error)

    @shielded
    def on_chain_error(self, error: BaseException, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None:
        if opened := self._recorder.open.get(run_id.int):
            if inputs is not None:
                chains.given(self._recorder, opened, inputs)
            resuming.stopped(opened, self._pauses, error)
            chains.fail(self._recorder, opened, error)
            if opened.parent is None and opened.trace.thread:
                resuming.leave(opened, self._pauses, self._brand_of is not None)

    @shielded
    def on_interrupt(self, event: GraphInterruptEvent) -> None:
        if event.run_id is not None and (opened := self._recorder.open.get(event.run_id.int)):
            resuming.interrupted(opened, self._pauses, event.checkpoint_id, event.interrupts, event.status)

    @shielded
    def on_resume(self, event: GraphResumeEvent) -> None:
        if event.run_id is not None and (opened := self._recorder.open.get(event.run_id.int)):
            resuming.resumed(opened, self._pauses, event.checkpoint_id)
            contents.put_resumed(opened)

    @shielded
    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        if (opened := self._recorder.open.get(run_id.int)) and opened.policy.log_prompts:
            chains.note_event(opened, name, payload.text(data, 4_096))


# What a node's ``TracePolicy`` leaves of its inputs and outputs, LangGraph gives to tracers, told by this class.
BaseTracer.register(MlflowCallbackHandler)


class SilentHandler(BaseCallbackHandler):
    """What a Lens that is turned off hands out: LangChain skips it at every event."""

    run_inline = True
    ignore_llm = ignore_chain = ignore_agent = ignore_retriever = ignore_chat_model = True
    ignore_retry = ignore_custom_event = True
