"""config/prices.yaml read into facts, for whoever prices calls."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tierlens import presence
from tierlens.errors import ConfigError
from tierlens.negotiated import VARIABLE, Negotiated, dump

if TYPE_CHECKING:
    from tierlens.config.files import Parsed
    from tierlens.config.price_models import PriceFields, PricesFile

PRICES_FILE: Final = "prices.yaml"


def own_prices(config_dir: Path) -> tuple[Negotiated, ...]:
    """The prices in the folder; nothing where there is no such file.

    Raises:
        ConfigError: the first thing that is wrong in it.
    """
    prices, errors = read_prices(config_dir)
    if errors:
        raise errors[0]
    return prices


def as_variables(config_dir: Path) -> dict[str, str]:
    """The prices as whoever ships is told them, by an environment variable; nothing where there is no such file.

    Raises:
        ConfigError: as ``own_prices`` does.
    """
    prices = own_prices(config_dir)
    return {VARIABLE: dump(prices)} if prices else {}


def read_prices(config_dir: Path) -> tuple[tuple[Negotiated, ...], Sequence[ConfigError]]:
    """The prices and everything that is wrong; where anything is, the prices are not to be used."""
    path = config_dir / PRICES_FILE
    if not path.is_symlink() and not presence.exists(path):
        return (), ()
    # As in `tierlens.config`: YAML and the models take their time, and most folders have no such file.
    from tierlens.config.files import parse
    from tierlens.config.price_models import PricesFile

    parsed = parse(path, PricesFile)
    errors = [*parsed.errors, *_backwards(parsed)]
    source = f"{config_dir.name}/{PRICES_FILE}"
    return tuple(_price(told, source) for told in (parsed.model.prices if parsed.model else ())), errors


def _backwards(parsed: Parsed[PricesFile]) -> Iterator[ConfigError]:
    if parsed.yaml is None or parsed.model is None:
        return
    for index, told in enumerate(parsed.model.prices):
        if told.valid_from and told.valid_until and told.valid_until < told.valid_from:
            where = parsed.yaml.where(("prices", index, "valid_until"))
            expected = f"is before valid_from, {told.valid_from}"
            yield ConfigError(where, f"prices[{index}].valid_until", str(told.valid_until), expected)


def _price(told: PriceFields, source: str) -> Negotiated:
    return Negotiated(
        told.provider,
        told.model,
        told.input,
        told.output,
        told.cache_read,
        told.cache_write,
        told.cache_write_1h,
        told.batch,
        _iso(told.valid_from),
        _iso(told.valid_until),
        source,
    )


def _iso(day: dt.date | None) -> str:
    return day.isoformat() if day else ""
