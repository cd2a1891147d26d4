"""Being told to stop."""

from __future__ import annotations

import os
import signal

import pytest

from tierlens.local.stopping import Told, told_by_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_block_and_the_handlers_are_as_before(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Told), told_by_signals():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def another_error_of_it() -> None:
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as e:
        raise ValueError("in the middle of a schema") from e


def test_a_library_that_makes_another_error_of_it_does_not_hide_it() -> None:
    with pytest.raises(Told), told_by_signals():
        another_error_of_it()


def test_an_error_without_a_signal_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="my own"), told_by_signals():
        raise ValueError("my own")
