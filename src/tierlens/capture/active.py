"""The recorder of the one Lens, for code that has no callback in its hands; None while there is no Lens."""

from __future__ import annotations

from tierlens.capture.recorder import Recorder

_recorder: Recorder | None = None


def recorder() -> Recorder | None:
    return _recorder


def activate(recorder: Recorder | None) -> None:
    """Have decorators and ``metric()`` record through ``recorder``, or do nothing."""
    global _recorder
    _recorder = recorder
