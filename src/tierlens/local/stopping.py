"""Being told to stop, by Ctrl-C, a supervisor or a closed terminal: all three alike, and only once."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Told(BaseException):
    """A signal to stop; no ``except Exception`` may swallow it."""


@contextlib.contextmanager
def told_by_signals() -> Iterator[None]:
    """Have SIGINT, SIGTERM and SIGHUP raise in the main thread, which this is for.

    Raises:
        Told: at the first signal, or at the block's end where what it interrupted made another error of it (a
            library's compiled code can). Later signals are ignored until the block ends.
    """
    told = False

    def tell(number: int, frame: FrameType | None) -> None:
        nonlocal told
        told = True
        # The first is enough: a second one must not interrupt the cleaning up.
        for other in _SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        raise Told

    before = {number: signal.signal(number, tell) for number in _SIGNALS}
    try:
        yield
    except Exception as e:
        if told:
            raise Told from e
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
