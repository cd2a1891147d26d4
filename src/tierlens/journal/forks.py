"""What an object must do round a fork of its process, without keeping the object alive."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Protocol


class Forkable(Protocol):
    """Stands still from ``before_fork`` to ``after_fork_in_parent``; starts anew with
    ``after_fork_in_child``."""

    def before_fork(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...

    def after_fork_in_child(self) -> None: ...


def follow_forks(owner: Forkable) -> None:
    """Call the owner's three methods at each ``os.fork`` for as long as it is referenced elsewhere."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_weakly(weakref.WeakMethod(owner.before_fork)),
            after_in_parent=_weakly(weakref.WeakMethod(owner.after_fork_in_parent)),
            after_in_child=_weakly(weakref.WeakMethod(owner.after_fork_in_child)),
        )


def _weakly(reference: weakref.WeakMethod[Callable[[], None]]) -> Callable[[], None]:
    def call() -> None:
        method = reference()
        if method is not None:
            method()

    return call
