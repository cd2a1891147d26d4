"""config/prices.yaml: what validates it, and what its JSON Schema comes from."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tierlens.config.models import Share
from tierlens.invalid import expected

Pattern = Annotated[str, Field(min_length=1), expected("a name, or a pattern with *")]
Usd = Annotated[float, Field(ge=0, allow_inf_nan=False), expected("a price in USD per million tokens, 0 or more")]
Day = Annotated[dt.date, expected("a date such as 2026-01-31")]


class PriceFields(BaseModel):
    """What calls of some models cost, in USD per million tokens, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    provider: Pattern = Field(default="*", description="As on the span (mlflow.llm.provider); * stands for anything.")
    model: Pattern = Field(description="As on the span (mlflow.llm.model); * stands for anything.")
    input: Usd = Field(description="Input tokens that are neither read from a cache nor written to one.")
    output: Usd = Field(description="Output tokens, reasoning included.")
    cache_read: Usd | None = Field(default=None, description="Input read from a cache. Left out: as input.")
    cache_write: Usd | None = Field(default=None, description="Input written to a cache. Left out: as input.")
    cache_write_1h: Usd | None = Field(
        default=None, description="Input written to a cache for an hour. Left out: as cache_write."
    )
    batch: Share | None = Field(default=None, description="Share of it paid in a batch. Left out: as published.")
    valid_from: Day | None = Field(default=None, description="The first day (UTC) it holds. Left out: always did.")
    valid_until: Day | None = Field(default=None, description="The last day (UTC) it holds. Left out: for good.")


class PricesFile(BaseModel):
    """config/prices.yaml: negotiated prices, before the published ones. Of several that hold, the first counts."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    prices: list[PriceFields] = Field(default=[], description="One entry a price; the first that holds counts.")
