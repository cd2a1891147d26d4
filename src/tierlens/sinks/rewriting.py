"""A sink that puts all text through a function of one's own before it leaves the host, and fails closed."""

from __future__ import annotations

import functools
import importlib
import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Final

from tierlens.errors import Forbidden
from tierlens.projection.finish import Attached, Finish
from tierlens.projection.prices import PriceBook
from tierlens.projection.rewriting import Rewrite, rewritten_finish, rewritten_payload, rewritten_record, rewritten_tags
from tierlens.projection.runs import Record
from tierlens.sinks.base import Batch, Sink
from tierlens.sinks.mlflow import MlflowSink
from tierlens.sinks.witness import Incomplete, Request, Told

DROPPED: Final = "[redacted:failed]"
SETTING: Final = "TIERLENS_SHIP_REDACTOR"
_log: Final = logging.getLogger(__name__)
_WARN_EVERY_S: Final = 60.0
_REMEMBERED: Final = 1_024


class FailingClosed:
    """A rewrite of which a text that it cannot take comes back as `DROPPED`, counted, and said once a minute.

    Args:
        load: gives the function; called at the first text.
        clock: monotonic seconds.

    Attributes:
        dropped: texts that were.

    Raises:
        Forbidden: the function cannot be had; then nothing is sent.
    """

    def __init__(self, load: Callable[[], Rewrite], clock: Callable[[], float] = time.monotonic) -> None:
        self._load, self._clock = load, clock
        self._said_at = float("-inf")
        self._rewrite: Rewrite | None = None
        self.dropped = 0

    def __call__(self, text: str) -> str:
        if self._rewrite is None:
            # A conversation's texts come again with every call of its model.
            self._rewrite = functools.lru_cache(_REMEMBERED)(self._load())
        try:
            found = self._rewrite(text)
        except Exception as error:
            return self._drop(type(error).__name__)
        return found if isinstance(found, str) else self._drop(f"it returned {type(found).__name__}")

    def _drop(self, why: str) -> str:
        self.dropped += 1
        if self._clock() - self._said_at >= _WARN_EVERY_S:
            self._said_at = self._clock()
            # What it raised may quote the text.
            _log.warning("%s failed, %d text(s) dropped so far: %s", SETTING, self.dropped, why)
        return DROPPED


def rewriting(sink: Sink, rewrite: Rewrite) -> Sink:
    """``sink``, sent only what ``rewrite`` made of it."""
    return RewritingMlflowSink(sink, rewrite) if isinstance(sink, MlflowSink) else RewritingSink(sink, rewrite)


class RewritingSink:
    """As ``Sink`` has it."""

    def __init__(self, inner: Sink, rewrite: Rewrite) -> None:
        self._inner, self._rewrite = inner, rewrite

    def send(self, batch: Batch) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self._inner.send(
                replace(
                    batch,
                    spans=[rewritten_payload(span, self._rewrite) for span in batch.spans],
                    finishes=tuple(self._finish(finish, Path(folder)) for finish in batch.finishes),
                )
            )

    def finish(self, finish: Finish) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self._inner.finish(self._finish(finish, Path(folder)))

    def close(self) -> None:
        self._inner.close()

    def _finish(self, finish: Finish, folder: Path) -> Finish:
        attached = tuple(self._file(one, folder) for one in finish.attached)
        return replace(rewritten_finish(finish, self._rewrite), attached=attached)

    def _file(self, attached: Attached, folder: Path) -> Attached:
        """A file that can be read as text, as another one."""
        try:
            text = Path(attached.path).read_bytes().decode()
        except (OSError, UnicodeDecodeError):
            return attached
        fresh = folder / attached.artifact.sha256
        fresh.write_text(self._rewrite(text), encoding="utf-8", newline="")
        return replace(attached, path=str(fresh))


class RewritingMlflowSink(RewritingSink):
    """The same in front of MLflow, which has runs and can be asked what it holds."""

    _inner: MlflowSink

    @property
    def prices(self) -> PriceBook:
        return self._inner.prices

    def log_runs(self, experiment: str, records: Sequence[Record]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            rewritten = [rewritten_record(record, self._rewrite) for record in records]
            here = Path(folder)
            self._inner.log_runs(
                experiment, [replace(one, files=tuple(self._file(f, here) for f in one.files)) for one in rewritten]
            )

    def count(self, request: Request) -> int:
        return self._inner.count(request)

    def held(self, trace_ids: Sequence[str]) -> Mapping[str, Set[str]]:
        return self._inner.held(trace_ids)

    def told(self, trace_id: str) -> Told | None:
        return self._inner.told(trace_id)

    def incomplete(self, limit: int) -> Sequence[Incomplete]:
        return self._inner.incomplete(limit)

    def tag(self, trace_id: str, tags: Mapping[str, str]) -> None:
        self._inner.tag(trace_id, rewritten_tags(tags, self._rewrite))


def redactor_named(name: str) -> Rewrite:
    """``presidio``, ``presidio:<spaCy model>``, or ``module:function``, imported now.

    Raises:
        Forbidden: it cannot be had.
    """
    first, _, rest = name.partition(":")
    try:
        if first == "presidio":
            from tierlens.sinks.presidio import recogniser

            return recogniser(rest)
        found = getattr(importlib.import_module(first), rest)
    except Exception as error:
        raise Forbidden(f"{SETTING}={name} cannot be used, so nothing is sent: {error}") from error
    if not callable(found):
        raise Forbidden(f"{SETTING}={name} cannot be used, so nothing is sent: it is no function")
    rewrite: Rewrite = found
    return rewrite
