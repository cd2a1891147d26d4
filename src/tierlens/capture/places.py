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
    parent, said = _here(recorder)
    if parent is not None and said.brand is not None:
        of_one_brand(recorder, parent, said.brand)
    return parent, said


def of_one_brand(recorder: Recorder, parent: Open, brand: str) -> None:
    """Say so where a call below ``parent`` is given another brand than its trace has, which holds."""
    holds = parent.trace.brand
    if brand != holds and _known(recorder.policies, brand) != holds:
        where = f"is recorded under {holds!r}, its trace's: a trace has one brand, that of its root"
        recorder.shield.warn(f"brand {brand!r} in {holds!r}", f"a call for brand {brand!r} {where}")


def _here(recorder: Recorder) -> tuple[Open | None, Context]:
    parent, said = current.current(recorder), current.ambient_context() or Context()
    return parent, said if parent is not None else late.context(recorder, said)


def of_brand(recorder: Recorder, context: Context) -> tuple[Open | None, Context]:
    """As ``here``, but in a trace of its own where the running one is another brand's."""
    parent, ambient = _here(recorder)
    policies = recorder.policies
    if context.brand is not None:
        elsewhere = parent.trace.brand if parent is not None else _known(policies, ambient.brand)
        if (parent is not None or ambient.remote) and elsewhere != policies.brand(context.brand):
            parent, ambient = None, replace(ambient, remote=None, sampled=True)
    return parent, current.merged(context, ambient)


def _known(policies: Policies, brand: str | None) -> str | None:
    """The brand to record under; None where that is one that may not be."""
    with contextlib.suppress(UnknownBrand):
        return policies.brand(brand)
    return None
