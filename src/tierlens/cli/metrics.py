"""``tierlens metrics``: what metrics say, once, without any exporter."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from tierlens import settings
from tierlens.cli.output import AsJson, JournalDir, journal_directory, print_json, print_table

if TYPE_CHECKING:
    from tierlens.shipping.vitals import Vitals
    from tierlens.upkeep.tabulating import Calls, Whose


def metrics(journal_dir: JournalDir = None, as_json: AsJson = False) -> None:
    """Show the figures of what lies in the journal, once.

    Counts of spans are those of the whole journal's life. Model calls are those whose spans still lie there: all
    that wait, and those delivered whose segment has not been removed yet. For figures over time, have them offered
    to Prometheus or pushed (TIERLENS_METRICS_PORT, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT).

    Examples:

      tierlens metrics

      tierlens metrics --json
    """
    from tierlens.config.prices import own_prices
    from tierlens.projection.prices import PriceBook
    from tierlens.shipping.vitals import VitalSigns
    from tierlens.upkeep.tabulating import tabulated

    directory = journal_directory(journal_dir)
    prices = PriceBook(own_prices(settings.load(journal_dir=journal_dir).config_dir))
    vitals, calls = VitalSigns(directory).look(), tabulated(directory, prices)
    if as_json:
        print_json({**asdict(vitals), "calls": [_json(whose, one) for whose, one in calls.items()]})
        return
    print_table(("spans", str(directory)), _health(vitals))
    if calls:
        columns = ("brand", "agent", "tier", "model", "calls", "failed", "input", "output", "cost USD", "mean s")
        print_table(columns, [_row(whose, one) for whose, one in calls.items()])


def _health(vitals: Vitals) -> list[tuple[str, str]]:
    refused = ", ".join(f"{reason}: {count:,}" for reason, count in vitals.refused.items())
    return [
        ("accepted", f"{vitals.accepted:,}"),
        ("stored", f"{vitals.stored:,}"),
        ("pending", f"{vitals.pending:,}"),
        ("refused", refused or "none"),
        ("bytes", f"{vitals.size:,}"),
        ("lag s", f"{vitals.lag_s:.1f}"),
    ]


def _json(whose: Whose, calls: Calls) -> dict[str, object]:
    return {
        **whose._asdict(),
        "calls": calls.count,
        "outcomes": dict(calls.outcomes),
        "seconds": calls.seconds,
        "input": calls.input,
        "output": calls.output,
        "cost_usd": calls.cost_usd,
    }


def _row(whose: Whose, calls: Calls) -> tuple[str, ...]:
    return (
        *whose,
        f"{calls.count:,}",
        f"{calls.outcomes['error']:,}",
        f"{calls.input:,}",
        f"{calls.output:,}",
        "" if calls.cost_usd is None else f"{calls.cost_usd:.4f}",
        f"{calls.seconds / max(calls.count, 1):.2f}",
    )
