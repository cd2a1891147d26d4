"""Reading a Prometheus endpoint as Prometheus does: over HTTP, with its own client's parser."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

TOKENS = "gen_ai_client_token_usage"
CALLS = "gen_ai_client_operation_duration_seconds"
FIRST_CHUNK = "gen_ai_client_operation_time_to_first_chunk_seconds"
AGENTS = "gen_ai_invoke_agent_duration_seconds"
WORKFLOWS = "gen_ai_workflow_duration_seconds"


@dataclass(frozen=True, slots=True)
class Scrape:
    """What an endpoint said at one moment."""

    samples: tuple[Sample, ...]

    def named(self, name: str, **labels: str) -> list[Sample]:
        """The samples of that name that have these labels."""
        return [one for one in self.samples if one.name == name and labels.items() <= one.labels.items()]

    def sum(self, name: str, **labels: str) -> float:
        return sum(sample.value for sample in self.named(name, **labels))

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Sums by a label's values."""
        found: dict[str, float] = {}
        for sample in self.named(name, **labels):
            value = sample.labels.get(label, "")
            found[value] = found.get(value, 0.0) + sample.value
        return found


def scrape(port: int) -> Scrape:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30, trust_env=False).raise_for_status().text
    return Scrape(tuple(sample for family in text_string_to_metric_families(text) for sample in family.samples))


def scrape_until(port: int, so: Callable[[Scrape], bool], patience_s: float = 60.0) -> Scrape:
    """The first scrape of which it is so; the last one, where patience has ended."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            found = scrape(port)
            if so(found) or time.monotonic() > deadline:
                return found
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)
