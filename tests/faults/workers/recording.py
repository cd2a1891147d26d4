"""Spans recorded through the public interface: decorated calls, each accepted once it has returned."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import tierlens
from tests.faults.content import digest_of
from tests.faults.receipts import Receipts
from tests.faults.workers.orders import Orders
from tierlens.spans import Span


class Witness:
    """A step over every span: it announces each, and keeps in mind what is accepted when the call returns."""

    def __init__(self, receipts: Receipts) -> None:
        self._receipts = receipts
        self._ended = threading.local()

    def __call__(self, span: Span) -> Span:
        try:
            digest = digest_of(span)
        except (TypeError, ValueError):  # poison that the journal is still to make plain
            digest = bytes(32)
        self._receipts.announce(span.span_id, digest)
        if span.end_ns:
            self._of_this_thread()[span.span_id] = digest
        return span

    def returned(self, poisoned: bool = False) -> None:
        """Whatever this thread has ended so far is accepted: the calls that ended it have returned.

        Args:
            poisoned: they may be stored otherwise than they were accepted.
        """
        ended = self._of_this_thread()
        for span_id, digest in ended.items():
            self._receipts.accepted(span_id, digest)
            if poisoned:
                self._receipts.note("changed", span=span_id)
        ended.clear()

    def _of_this_thread(self) -> dict[str, bytes]:
        found: dict[str, bytes] = self._ended.__dict__.setdefault("spans", {})
        return found


def lens_of(orders: Orders, witness: Witness, **settings: Any) -> tierlens.Lens:
    """tierlens as a user starts it, with a witness over its spans."""
    return tierlens.init(
        tracking_uri=orders.uri,
        journal_dir=orders.journal,
        config_dir=Path.cwd(),
        mlflow_experiment=orders.experiment,
        steps=[witness],
        **settings,
    )


class Recording:
    """A process that records: its lens, and its witness."""

    def __init__(self, orders: Orders, **settings: Any) -> None:
        self.receipts = orders.receipts()
        self.witness = Witness(self.receipts)
        self.lens = lens_of(orders, self.witness, **settings)

    def call(self, text: str) -> None:
        """A decorated call with a tool inside: two spans, accepted."""
        answer(text)
        self.witness.returned()


@tierlens.agent("analyst")
def answer(text: str) -> dict[str, str]:
    return {"answer": look_up(text)}


@tierlens.tool
def look_up(text: str) -> str:
    return f"found: {text}"
