"""The border between the agent and tierlens: what goes wrong inside stays inside, counted and said once a minute."""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from tierlens.capture import stacks
from tierlens.errors import TierlensError

log = logging.getLogger("tierlens")
Function = TypeVar("Function", bound=Callable[..., Any])
SILENCE_S = 60.0
_CAUSES: Final = 1_000


class Shield:
    """Counts failures by cause and logs each cause at most once a minute.

    With ``strict`` (``TIERLENS_STRICT=true``, for tierlens's own tests) failures are raised instead.
    """

    def __init__(
        self,
        *,
        strict: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.strict = os.environ.get("TIERLENS_STRICT", "") == "true" if strict is None else strict
        self.failures: Counter[str] = Counter()
        self._clock = clock
        self._silence_s = silence_s
        self._said: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def report(self, where: str, error: Exception) -> None:
        """Count ``error``; log where it was raised unless its cause was logged within the last minute.

        Its words are logged where they are tierlens's or the operating system's: those of others may quote what a
        span was to say, and a handler that is given the exception itself may read its variables.

        Raises:
            Exception: ``error`` itself where the shield is strict.
        """
        if self.strict:
            raise error
        cause = f"{where}: {type(error).__name__}"
        self.failures[cause] += 1
        text = f"{where} failed and was skipped; the agent is not affected ({self.failures[cause]} times so far)"
        self._say(cause, text, stacks.place(error, words=isinstance(error, TierlensError | OSError)))

    def warn(self, cause: str, text: str) -> None:
        """Log ``text``; if something of the same cause was logged within the last minute, only count it, and say next
        time how many there were."""
        self._say(cause, text)

    def _say(self, cause: str, text: str, place: str = "") -> None:
        with self._lock:
            now = self._clock()
            at, unsaid = self._said.get(cause, (float("-inf"), 0))
            if now - at < self._silence_s:
                self._said[cause] = at, unsaid + 1
                return
            if len(self._said) >= _CAUSES:  # some name what a user named
                self._said = {said: what for said, what in self._said.items() if now - what[0] < self._silence_s}
            self._said[cause] = now, 0
        more = f" (and {unsaid} more since the last warning)" if unsaid and not place else ""
        log.warning("tierlens: %s%s%s", text, more, place)


def shielded(method: Function) -> Function:
    """Let no exception out of a method of an object that has a ``shield``; it returns None instead."""

    @functools.wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            self.shield.report(method.__qualname__, error)

    return cast(Function, guarded)
