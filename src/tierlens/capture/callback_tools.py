"""LangChain's callbacks for tools and retrievers."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tierlens import keys
from tierlens.capture import chains, contents, rag
from tierlens.capture.callback_runs import RunCallbacks, name_of
from tierlens.capture.shield import shielded


class ToolCallbacks(RunCallbacks):
    """Records calls of tools and of retrievers."""

    @shielded
    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if (place := self._place(run_id, parent_run_id, inputs)) is None:
            return
        parent, context = place
        named = str(name or name_of(serialized))
        opened = self._recorder.start(run_id.int, named, "TOOL", parent=parent, context=context)
        if opened.recording:
            contents.put_inputs(self._recorder, opened, inputs if inputs is not None else _parsed(input_str))
            if call := kwargs.get("tool_call_id"):
                opened.attributes[keys.TOOL_CALL_ID] = str(call)
            if parent is not None and parent.failed:
                chains.count_retry(self._recorder, opened, tags)
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
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if (place := self._place(run_id, parent_run_id, query)) is None:
            return
        parent, context = place
        named = str(name or name_of(serialized))
        opened = self._recorder.start(run_id.int, named, "RETRIEVER", parent=parent, context=context)
        if opened.recording:
            contents.put_inputs(self._recorder, opened, {"query": query})
            if parent is not None and parent.failed:
                chains.count_retry(self._recorder, opened, tags)
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


def _parsed(text: str) -> object:
    """A tool's arguments where LangChain hands over nothing but their ``str``."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
