"""A journal in memory, for tests of what is captured."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from tierlens.spans import Routing, Span


class MemoryJournal:
    """Keeps what a recorder journals; a later record of the same span replaces the earlier, as in MLflow.

    Attributes:
        spans: finished spans by span id, in order of their end.
        starts: start records in order.
        routings: routing of each finished span, by span id.
    """

    def __init__(self) -> None:
        self.spans: dict[str, Span] = {}
        self.starts: list[Span] = []
        self.routings: dict[str, Routing] = {}
        self.blobs: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def append(self, span: Span, routing: Routing) -> None:
        with self._lock:
            self.spans[span.span_id] = span._replace(attributes=dict(span.attributes))
            self.routings[span.span_id] = routing

    def append_start(self, span: Span, routing: Routing, still_open: Callable[[], bool]) -> None:
        with self._lock:
            if still_open():
                self.starts.append(span._replace(attributes=dict(span.attributes)))

    def store_blob(self, content: bytes) -> str:
        name = hashlib.sha256(content).hexdigest()
        self.blobs[name] = content
        return name

    def named(self, name: str) -> Span:
        """The only span of that name.

        Raises:
            LookupError: there is none, or more than one.
        """
        found = [span for span in self.spans.values() if span.name == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} spans are named {name!r}: {sorted(s.name for s in self.spans.values())}")
        return found[0]

    def roots(self) -> list[Span]:
        return [span for span in self.spans.values() if span.parent_id is None]

    def text(self) -> str:
        """All that was journalled, as one text to search for what must not be there."""
        return repr(list(self.spans.values())) + repr(self.starts)
