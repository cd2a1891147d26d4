"""What all callbacks share: the recorder, for whom a call is made, and which span a run starts below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from langgraph.callbacks import GraphCallbackHandler

from tierlens.capture import current, late, resuming
from tierlens.capture.graphs import streamed_input
from tierlens.capture.places import of_one_brand
from tierlens.capture.recorder import Recorder
from tierlens.capture.trace import Context, Open
from tierlens.journal.pauses import Pauses
from tierlens.spans import NONE

BrandOf = Callable[[object], str | None]


class RunCallbacks(GraphCallbackHandler):
    """The ground that callbacks for each kind of run stand on.

    Args:
        recorder: the lens's recorder.
        context: for whom and about what the calls are made.
        pauses: where interrupted threads are remembered for the trace that resumes them.
        brand_of: reads the brand from a root's inputs, where it is not given.
    """

    def __init__(self, recorder: Recorder, context: Context, pauses: Pauses, brand_of: BrandOf | None = None) -> None:
        self._recorder = recorder
        self._context = context
        self._pauses = pauses
        self._brand_of = brand_of
        self.shield = recorder.shield
        self.raise_error = recorder.shield.strict

    def _place(
        self, run_id: UUID, parent_run_id: UUID | None, inputs: Any, metadata: Mapping[str, Any] | None = None
    ) -> tuple[Open | None, Context] | None:
        """The span a run starts below, LangChain's parent or a decorated call inside it that is still open, and for
        whom it is; None where the run is recorded already."""
        recorder = self._recorder
        if (known := recorder.open.get(run_id.int)) is not None:
            return self._anew(known, inputs)
        parent = recorder.open.get(parent_run_id.int) if parent_run_id is not None else None
        if parent is None:
            parent = current.current(recorder)
            if parent is None and parent_run_id is not None:
                parent = late.parent(recorder, parent_run_id.int)
            if parent is None:
                return None, self._context_of_root(parent_run_id, inputs, metadata or NONE)
            self._look_at_brand(parent, inputs)
        elif current.enclosing.get() is not None:
            own = current.decorated(recorder)
            if own is not None and own is not parent and own.within(parent):
                parent = own
        return parent, self._context

    def _context_of_root(self, parent_run_id: UUID | None, inputs: Any, metadata: Mapping[str, Any]) -> Context:
        key = parent_run_id.int if parent_run_id is not None else None
        said = late.context(self._recorder, self._context_for(inputs), key, metadata.get("thread_id"))
        return resuming.of_thread(said, self._pauses, metadata, self._brand_of is not None, self._recorder)

    def _anew(self, known: Open, inputs: Any) -> tuple[None, Context] | None:
        """Of several handlers LangChain asks the call's own last, an attached graph's first: the later one says for
        whom a call is, and the earlier what that leaves open."""
        if known.parent is not None:
            self._look_at_brand(known, inputs)
            return None
        context = current.merged(self._context_for(inputs), known.trace.context)
        if context == known.trace.context:
            return None
        self._recorder.forget(known)
        return None, context

    def _look_at_brand(self, inside: Open, inputs: Any) -> None:
        brand = self._context.brand
        if brand is None and self._brand_of is not None:
            brand = self._brand_of(inputs)
        if brand is not None:
            of_one_brand(self._recorder, inside, brand)

    def _context_for(self, inputs: Any) -> Context:
        context = self._context
        if self._brand_of is not None and context.brand is None:
            brand = self._brand_of(inputs) or self._brand_of(streamed_input(inputs))
            context = current.with_brand(context, brand)
        ambient = current.ambient_context()
        return current.merged(context, ambient) if ambient is not None else context


def name_of(serialized: Mapping[str, Any] | None) -> str:
    """As LangChain's own tracers name a run that was not given a name."""
    if serialized:
        if name := serialized.get("name"):
            return str(name)
        if path := serialized.get("id"):
            return str(path[-1])
    return "Unnamed"
