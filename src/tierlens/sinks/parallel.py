"""A few calls at once, on threads that never keep a process alive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence


def in_parallel(calls: Sequence[Callable[[], None]], width: int) -> None:
    """Make all calls, ``width`` at a time, wait for all, then raise the first error there was.

    concurrent.futures would hold up the interpreter's exit for as long as a server keeps silent.
    """
    if width <= 1 or len(calls) <= 1:
        for call in calls:
            call()
        return
    waiting, errors = iter(calls), list[BaseException]()
    take = threading.Lock()

    def work() -> None:
        while True:
            with take:
                call = None if errors else next(waiting, None)
            if call is None:
                return
            try:
                call()
            except BaseException as e:  # carried over to the caller's thread
                errors.append(e)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(width, len(calls)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
