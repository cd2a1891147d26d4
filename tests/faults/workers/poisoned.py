"""Values that break whoever looks at them, among calls that have done nothing wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import tierlens
from tests.faults.workers.emitting import RESOURCE, Emitter
from tests.faults.workers.orders import Orders
from tests.faults.workers.recording import Recording
from tierlens import keys
from tierlens.errors import JournalRefused
from tierlens.journal import Journal

SURROGATE: Final = "\ud800"
_LONG: Final = 100 << 20


class Hostile:
    """Raises whatever is asked of it."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __str__(self) -> str:
        raise RuntimeError("no str")

    def __iter__(self) -> Any:
        raise RuntimeError("no iter")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


def values() -> Mapping[str, Any]:
    """The poison, by name."""
    cycle: dict[str, Any] = {"self": []}
    cycle["self"].append(cycle)
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    return {
        "raising repr": Hostile(),
        "NaN and infinity": {"nan": float("nan"), "inf": [float("inf"), -float("inf")]},
        "lone surrogate": {SURROGATE: f"a{SURROGATE}b"},
        "NUL": "a\0b",
        "cycle": cycle,
        "5,000 deep": deep,
        "100 MB": "x" * _LONG,
        "huge integer": 10**400,
    }


@tierlens.agent("swallower")
def swallow(value: Any) -> Any:
    tierlens.metric("score", float("nan"))
    tierlens.tag("tag", SURROGATE)
    return value


def swallow_all(orders: Orders) -> None:
    """Call with every poison, innocent calls before and after each, under a session of 400 characters."""
    recording = Recording(orders, shipper="external")
    for name, value in values().items():
        recording.call(f"before {name}")
        with recording.lens.using(session="s" * 400):
            returned = swallow(value)
        recording.witness.returned(poisoned=True)
        recording.receipts.note("swallowed", what=name, same=returned is value)
        recording.call(f"after {name}")
    recording.lens.close()


def past_capture(orders: Orders) -> None:
    """Append what capture would not let through, as other libraries' spans may be."""
    journal = Journal(orders.journal, resource=RESOURCE)
    emitter, receipts = Emitter.under(orders, journal), orders.receipts()
    for attributes in (
        {keys.SESSION: "s" * 400},
        {keys.INPUTS: SURROGATE, SURROGATE: "value"},
        {keys.INPUTS: "x" * _LONG},
        {keys.INPUTS: Hostile()},
        {keys.TOKEN_USAGE: "{not JSON"},
        {keys.METRIC: float("nan")},
    ):
        emitter.emit(5)
        span, routing = emitter.next()
        poison = span._replace(attributes={**span.attributes, **attributes})
        receipts.announce(poison.span_id, os.urandom(32))
        try:
            journal.append(poison, routing)
        except JournalRefused as refusal:
            receipts.note("refused", reason=refusal.reason)
        else:
            receipts.note("poison", span=poison.span_id)
        emitter.emit(4)
    journal.close()
