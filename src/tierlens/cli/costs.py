"""``tierlens costs``: tokens and USD, by whoever spent them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tierlens import presence, settings
from tierlens.cli.output import AsJson, JournalDir, journal_directory, plain, print_json, print_table, telling
from tierlens.errors import ConfigError

if TYPE_CHECKING:
    from tierlens.cli.output import Tell
    from tierlens.projection.spending import PricedCall, Spent
    from tierlens.settings import Settings

_SPAN: Final = re.compile(r"(\d+)([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_TOKENS: Final = ("input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning")
_PRICES: Final = ("price_dates", "price_sources")


class By(StrEnum):
    """What calls can be summed by."""

    call = "call"
    agent = "agent"
    tier = "tier"
    brand = "brand"
    session = "session"
    model = "model"
    prompt = "prompt"


def costs(
    by: Annotated[By, typer.Option("--by", help="What to sum up by.")] = By.model,
    since: Annotated[str, typer.Option(help="Only calls since: 30m, 24h, 7d, 2w, or a date such as 2026-11-01.")] = "",
    brand: Annotated[str | None, typer.Option(help="Only this brand's.")] = None,
    journal_dir: JournalDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what model calls took: tokens, USD, by which prices, and how many have no price.

    Reads MLflow, by the tracking URI, where each call has the cost it was delivered with. With --journal, what
    still lies in that journal, priced as it will be delivered. Input includes what was read from and written to a
    cache, cache writes include those for an hour, output includes reasoning. A figure nobody reports is empty,
    not 0.

    Examples:

      tierlens costs

      tierlens costs --by agent --since 7d --brand Kisqali

      tierlens costs --by call --journal var/tierlens/journal --json
    """
    from tierlens.projection.spending import in_all, spent

    loaded = settings.load(journal_dir=journal_dir)
    start_ns = beginning_ns(since, dt.datetime.now(dt.UTC)) if since else 0
    with telling(show=not as_json) as tell:
        read = _calls(loaded, start_ns, brand, tell, in_journal=journal_dir is not None)
        calls = [call for call in read if call.start_ns >= start_ns and (brand is None or call.brand == brand)]
    if brand is not None and not calls:
        _must_be_known(brand, loaded, in_journal=journal_dir is not None)
    rows, total = spent(calls, by), in_all(calls)
    if as_json:
        listed = [{str(by): whose, **_json(sums)} for whose, sums in rows.items()]
        print_json({"by": str(by), "rows": listed, "total": _json(total)})
        return
    _print(by, rows, total)


def beginning_ns(since: str, now: dt.datetime) -> int:
    """Unix time in nanoseconds of ``7d`` before now, or of a date, UTC where it names no zone.

    Raises:
        ConfigError: it is neither.
    """
    if found := _SPAN.fullmatch(since):
        return int((now.timestamp() - int(found[1]) * _SECONDS[found[2]]) * 1e9)
    try:
        moment = dt.datetime.fromisoformat(since)
    except ValueError:
        raise ConfigError("--since", "", repr(since), "is neither a span such as 24h or 7d nor a date") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1e9)


def _calls(loaded: Settings, start_ns: int, brand: str | None, tell: Tell, *, in_journal: bool) -> Iterable[PricedCall]:
    from tierlens.cli.spans_read import from_journal, from_mlflow
    from tierlens.config.prices import own_prices
    from tierlens.projection.prices import PriceBook

    tell("Going through the journal" if in_journal else "Asking MLflow", 0, 0)
    if in_journal:
        return from_journal(journal_directory(loaded.journal_dir), PriceBook(own_prices(loaded.config_dir)))
    return from_mlflow(loaded, start_ns // 1_000_000, brand, tell)


def _must_be_known(brand: str, loaded: Settings, *, in_journal: bool) -> None:
    """Refuse a brand that is neither configured nor recorded, unless none is."""
    from tierlens.cli.spans_read import brands_in_journal, brands_in_mlflow
    from tierlens.config.read import read_policies

    recorded = brands_in_journal(loaded.journal_dir) if in_journal else brands_in_mlflow(loaded, brand)
    configured = read_policies(loaded.config_dir)[0].brands if presence.exists(loaded.config_dir) else ()
    known = sorted({*recorded, *configured} - {""})
    if known and brand not in known:
        raise ConfigError("--brand", "", repr(brand), f"is none of the brands there are: {', '.join(known)}")


def _json(sums: Spent) -> dict[str, Any]:
    return {
        "calls": sums.calls,
        **{name: sums.tokens.get(name) for name in _TOKENS},
        "cost_usd": sums.cost,
        "unpriced_calls": sums.unpriced,
        "uncounted_calls": sums.uncounted,
        "estimated_calls": sums.estimated,
        "price_dates": sorted({min(sums.dates), max(sums.dates)}) if sums.dates else [],
        "price_sources": sorted(sums.sources),
    }


def _print(by: str, rows: Mapping[str, Spent], total: Spent) -> None:
    said = _json(total)
    # A call has one price, and a sum may have many: those are said once.
    shown = [name for name in said if by == By.call or name not in _PRICES]
    columns = (by, *(name.replace("_", " ") for name in shown))
    body = [(plain(whose) or "(none)", *_cells(sums, shown)) for whose, sums in rows.items()]
    print_table(columns, [*body, ("total", *_cells(total, shown))])
    if said["price_dates"]:
        sources = f": {', '.join(said['price_sources'])}" if said["price_sources"] else ""
        typer.echo(f"prices of {' to '.join(said['price_dates'])}{plain(sources)}")
    if total.unpriced:
        typer.echo(
            f"{total.unpriced:,} of {total.calls:,} calls have no known price and are not in the cost; "
            "config/prices.yaml can give one"
        )


def _cells(sums: Spent, names: Iterable[str]) -> Iterable[str]:
    figures = _json(sums)
    for name in names:
        value = figures[name]
        if name in _PRICES:
            yield (" to " if name == "price_dates" else ", ").join(value)
        else:
            shown = value is not None and (value or not name.endswith("_calls"))
            yield (f"{value:.6f}" if name == "cost_usd" else f"{value:,}") if shown else ""
