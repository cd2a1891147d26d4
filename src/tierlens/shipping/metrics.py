"""The tally of whoever ships: what is offered, put together with what there is to say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from tierlens.errors import SettingsError
from tierlens.projection import instruments
from tierlens.projection.measurements import Sample
from tierlens.projection.prices import PriceBook
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.clock import SystemClock
from tierlens.shipping.tally import OpenTally, Tally
from tierlens.shipping.vitals import Vitals, VitalSigns
from tierlens.sinks.metrics_plan import MetricsPlan, plan_from
from tierlens.sinks.price_book import prices_from
from tierlens.spans import NONE

REASON: Final = "tierlens.reason"


def tally_from(environ: Mapping[str, str], directory: Path, *, strict: bool = False) -> OpenTally:
    """What the settings ask for, given as variables, as ``environment_of`` has them: by their prices, too.

    Where that cannot be had, a warning says why, and spans are delivered all the same; ``strict`` raises.
    """
    return partial(_open, environ, directory, strict)


def _open(environ: Mapping[str, str], directory: Path, strict: bool) -> Tally | None:
    try:
        plan = plan_from(environ)
        return open_tally(plan, directory, prices_from(environ)) if plan is not None else None
    except SettingsError as error:
        if strict:
            raise
        Alarms(SystemClock()).warn("metrics", f"there are no metrics: {error}")
        return None


def open_tally(plan: MetricsPlan, directory: Path, prices: PriceBook) -> Tally:
    """A tally that offers what it counts as ``plan`` has it, priced by ``prices``.

    Raises:
        SettingsError: a package is missing; says what to install.
    """
    try:
        from tierlens.sinks.otel_metrics import OtelMeter

        signs = VitalSigns(directory)
        meter = OtelMeter(plan, lambda: observed(signs.look(), plan.quota_bytes), Alarms(SystemClock()).warn)
    except (ImportError, TypeError) as error:  # an SDK from before the extra's takes no limits of labels
        where = "TIERLENS_METRICS_PORT" if plan.port is not None else "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
        raise SettingsError(where, "", str(error), "is needed: pip install 'tierlens[metrics]'") from error
    return Tally(meter, prices)


def observed(vitals: Vitals, quota_bytes: int) -> Iterator[Sample]:
    """Values for the metrics of ``instruments.OBSERVED``."""
    plain = {
        instruments.ACCEPTED: vitals.accepted,
        instruments.STORED: vitals.stored,
        instruments.PENDING: vitals.pending,
        instruments.SIZE: vitals.size,
        instruments.QUOTA: quota_bytes,
        instruments.LAG: vitals.lag_s,
        instruments.FAILING: int(vitals.failing),
    }
    for metric, value in plain.items():
        yield Sample(metric, value, NONE)
    for reason, count in vitals.refused.items():
        yield Sample(instruments.REFUSED, count, {REASON: reason})
