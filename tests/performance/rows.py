"""The table of figures: what each must be, and what was read."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Comparison = Literal[">=", "<=", "="]


@dataclass(frozen=True, slots=True)
class Row:
    """A figure and its bound.

    Attributes:
        part: the part that measures it, as ``--only`` names it.
    """

    key: str
    what: str
    part: str
    comparison: Comparison
    bound: float
    unit: str = ""

    def met(self, value: float) -> bool:
        if self.comparison == ">=":
            return value >= self.bound
        return value <= self.bound if self.comparison == "<=" else value == self.bound

    @property
    def must(self) -> str:
        sign = {">=": "≥", "<=": "≤", "=": ""}[self.comparison]
        return f"{sign} {self.bound:g} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Reading:
    """What was measured for a row.

    Attributes:
        samples: one a round; the median is the figure, lowest and highest are its noise.
        how: how it was measured, in few words.
        beside: other figures worth knowing with it.
        failed: why there is none; then there are no samples.
    """

    samples: tuple[float, ...] = ()
    how: str = ""
    beside: str = ""
    failed: str = ""

    @property
    def value(self) -> float:
        return statistics.median(self.samples) if self.samples else math.nan

    def as_json(self, row: Row) -> dict[str, Any]:
        common = {"what": row.what, "must": row.must, "how": self.how, "beside": self.beside}
        if self.failed or not self.samples:
            return common | {"failed": self.failed or "not measured", "met": False}
        low, high = min(self.samples), max(self.samples)
        figures = {"measured": round(self.value, 3), "min": round(low, 3), "max": round(high, 3)}
        return common | figures | {"rounds": len(self.samples), "met": row.met(self.value)}


def ratios(above: Sequence[float], below: Sequence[float], least: float = 0.01) -> tuple[float, ...]:
    """Round by round: what tierlens adds is never taken for less than ``least``."""
    return tuple(one / max(other, least) for one, other in zip(above, below, strict=True))


ROWS = (
    Row("added_p50_mlflow", "added p50, mlflow / tierlens", "overhead", ">=", 18),
    Row("added_p50_peer", "added p50, fastest peer / tierlens", "overhead", ">=", 6),
    Row("added_cpu_mlflow", "added CPU with delivery, mlflow / tierlens", "overhead", ">=", 12),
    Row("delivered_mlflow", "traces delivered a second, tierlens / mlflow", "overhead", ">=", 8),
    Row("memory_mb", "memory added in the agent", "overhead", "<=", 25, "MB"),
    Row("limit_share", "share of the server's OTLP limit, no metrics", "limit", ">=", 0.8),
    Row("limit_share_metrics", "share of it, 3 metrics on every trace", "limit", ">=", 0.5),
    Row("runs_share", "runs by invocation, share of bare log-batch calls", "runs", ">=", 0.25),
    Row("stored_of_300", "stored of 300 emitted back to back", "stored", "=", 300),
    Row("streaming_ms", "streaming 400 tokens, added", "streaming", "<=", 1.5, "ms"),
    Row("import_ms", "import tierlens after langgraph", "importing", "<=", 120, "ms"),
    Row("imports_mlflow", "does it import mlflow", "importing", "=", 0),
    Row("token_difference", "tokens of the demo, MLflow - ledger", "ledger", "=", 0),
    Row("private_bytes", "bytes of prompts, log_prompts: false", "privacy", "=", 0),
    Row("growth_kb", "database growth a model call", "growth", "<=", 6, "KB"),
    Row("append_p50_us", "encode + append, p50", "append", "<=", 15, "µs"),
    Row("append_p99_us", "encode + append, p99", "append", "<=", 50, "µs"),
    Row("redaction_us_kb", "redaction a KB, all rules, texts not seen before", "redaction", "<=", 20, "µs"),
)
PARTS = tuple(dict.fromkeys(row.part for row in ROWS))
