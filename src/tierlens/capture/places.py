"""Where a call that nobody calls back about belongs: below a span, or in a trace of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tierlens.capture import current, late
from tierlens.capture.recorder import Recorder
from tierlens.capture.trace import Context, Open
from tierlens.errors import UnknownBrand

if TYPE_CHECKING:
    from tierlens.policy import Policies

Place = Callable[[Recorder], tuple[Open | None, Context]]


def here(recorder: Recorder) -> tuple[Open | None, Context]:
    """Below the span the running code belongs to, else in a trace of its own."""
    parent, said = current.current(recorder), current.ambient_context() or Context()
    return parent, said if parent is not None else late.context(recorder, said)


def of_brand(recorder: Recorder, context: Context) -> tuple[Open | None, Context]:
    """As ``here``, but in a trace of its own where the running one is another brand's."""
    parent, ambient = here(recorder)
    policies = recorder.policies
    if context.brand is not None:
        elsewhere = parent.trace.brand if parent is not None else _remote_brand(policies, ambient)
        if (parent is not None or ambient.remote) and elsewhere != policies.brand(context.brand):
            parent, ambient = None, replace(ambient, remote=None, sampled=True)
    return parent, current.merged(context, ambient)


def _remote_brand(policies: Policies, context: Context) -> str | None:
    """The brand of a trace begun elsewhere; None where it names none that may be recorded under."""
    with contextlib.suppress(UnknownBrand):
        return policies.brand(context.brand)
    return None
