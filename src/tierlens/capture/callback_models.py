"""LangChain's callbacks for model calls: starts, tokens, ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from tierlens.capture import beside, chains, models, outcomes
from tierlens.capture.callback_runs import RunCallbacks, name_of
from tierlens.capture.shield import shielded
from tierlens.spans import NONE


class ModelCallbacks(RunCallbacks):
    """Records calls of chat models and of models that complete text."""

    def on_chat_model_start(
        self,
        serialized: dict[str, Any] | None,
        messages: list[list[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        invocation_params: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        named, asked = str(name or name_of(serialized)), messages[0] if messages else []
        self._start_model("CHAT_MODEL", named, asked, run_id, parent_run_id, metadata, invocation_params, tags)

    def on_llm_start(
        self,
        serialized: dict[str, Any] | None,
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        invocation_params: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        named = str(name or name_of(serialized))
        self._start_model("LLM", named, prompts, run_id, parent_run_id, metadata, invocation_params, tags)

    def _start_model(
        self,
        kind: str,
        name: str,
        messages: Sequence[object],
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: Mapping[str, Any] | None,
        parameters: Mapping[str, Any] | None,
        tags: list[str] | None,
    ) -> None:
        try:
            recorder = self._recorder
            if (place := self._place(run_id, parent_run_id, messages)) is None:
                return
            parent, context = place
            opened = recorder.start(run_id.int, name, kind, parent=parent, context=context)
            if opened.recording:
                models.describe(opened, messages, parameters or NONE, metadata or NONE)
                if parent is not None and parent.failed:
                    chains.count_retry(recorder, opened, tags)
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
            if opened := self._recorder.running(run_id.int):
                try:
                    models.end(opened, response)
                    if "iterations" in opened.counts:
                        beside.record(self._recorder, opened, opened.counts)
                finally:
                    self._recorder.finish(opened, outcomes.FINE)
        except Exception as error:
            self.shield.report("on_llm_end", error)

    @shielded
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        if opened := self._recorder.running(run_id.int):
            partial = kwargs.get("response")
            try:
                if partial is not None and getattr(partial, "generations", None):
                    models.end(opened, partial)
            finally:
                chains.fail(self._recorder, opened, error)
