"""One call of a decorated function, from its arguments to its end."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from tierlens.capture import chains, contents, rag
from tierlens.capture.current import enclosing, put_back
from tierlens.capture.outcomes import ERROR, FINE, Outcome
from tierlens.capture.places import here
from tierlens.capture.recorder import Recorder
from tierlens.capture.trace import Open

MAX_YIELDED = 1_000


class Call:
    """A decorated call under way. None of its methods raises, whatever the arguments and results are.

    Code in a ``with`` block of it belongs to its span, which what the block raises ends.
    """

    __slots__ = ("_items", "_recorder", "_token", "opened")

    def __init__(self, recorder: Recorder, opened: Open) -> None:
        self._recorder = recorder
        self._items: list[Any] = []
        self.opened = opened

    @classmethod
    def start(
        cls,
        recorder: Recorder | None,
        kind: str,
        name: str,
        signature: inspect.Signature | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Call | None:
        """Open the span, or return None where nothing records or opening it went wrong."""
        if recorder is None:
            return None
        try:
            return cls(recorder, _open(recorder, kind, name, arguments(signature, args, kwargs)))
        except Exception as error:
            recorder.shield.report(f"opening the span of {name}", error)
            return None

    def __enter__(self) -> None:
        self._token = enclosing.set(self.opened)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        put_back(enclosing, self._token)
        if error is not None:
            self.raised(error)

    def returned(self, result: Any) -> None:
        self._guard(lambda: chains.end(self._recorder, self.opened, result), FINE)

    def yielded(self, item: Any) -> None:
        if not self.opened.first_token_ns:
            self.opened.first_token_ns = self.opened.trace.now()
        if len(self._items) < MAX_YIELDED:
            self._items.append(item)

    def exhausted(self, result: Any) -> None:
        self.returned(result if result is not None else self._collected())

    def raised(self, error: BaseException) -> None:
        def record() -> None:
            if self._items and self.opened.recording:
                contents.put_outputs(self._recorder, self.opened, self._collected())
            chains.fail(self._recorder, self.opened, error)

        self._guard(record, Outcome(ERROR))

    def _collected(self) -> Any:
        texts = all(isinstance(item, str) for item in self._items)
        return "".join(self._items) if texts and self._items else self._items

    def _guard(self, record: Callable[[], None], outcome: Outcome) -> None:
        try:
            record()
        except Exception as error:
            self._recorder.shield.report(f"closing the span of {self.opened.name}", error)
            self._recorder.finish(self.opened, outcome)


def arguments(signature: inspect.Signature | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, without ``self`` and ``cls``; as they came where they have no names or do not fit."""
    if signature is None:
        return {"args": list(args), **kwargs}
    try:
        bound = dict(signature.bind(*args, **kwargs).arguments)
    except TypeError:  # the call itself is about to fail with it
        return {"args": list(args), **kwargs}
    if bound and next(iter(bound)) in ("self", "cls"):
        bound.pop(next(iter(bound)))
    return bound


def _open(recorder: Recorder, kind: str, name: str, inputs: Mapping[str, Any]) -> Open:
    parent, context = here(recorder)
    policy = recorder.policies.agents.get(name) if kind == "AGENT" else None
    opened = recorder.start(
        object(),
        name,
        kind,
        parent=parent,
        context=context,
        policy=policy,
        agent=(policy.agent if policy else name) if kind == "AGENT" else "",
    )
    opened.is_call = kind != "AGENT" or (policy is None and parent is not None)
    try:
        if opened.recording:
            _describe(recorder, opened, inputs)
            if parent is not None and parent.failed:
                chains.count_retry(recorder, opened)
        recorder.started(opened)
    except Exception as error:  # the span is open, and has to be ended
        recorder.shield.report(f"describing the span of {name}", error)
    return opened


def _describe(recorder: Recorder, opened: Open, inputs: Mapping[str, Any]) -> None:
    contents.put_inputs(recorder, opened, _without_documents(opened.kind, inputs))
    if opened.kind == "RERANKER":
        opened.before = rag.documents_in(inputs)


def _without_documents(kind: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """A reranker's documents by id and score only: their text stands on the retriever's span already."""
    if kind != "RERANKER":
        return inputs
    return {
        name: [{"id": one["id"], "score": rag.score(one)} for one in documents]
        if (documents := rag.documents_in(value, texts=name in rag.LISTS))
        else value
        for name, value in inputs.items()
    }
