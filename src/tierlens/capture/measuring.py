"""Custom metrics onto agents' spans; what a rule does not allow is refused, said and counted, never stored as 0."""

from __future__ import annotations

from tierlens import keys
from tierlens.capture import payload, privacy
from tierlens.capture.paths import as_metric, lookup
from tierlens.capture.recorder import Recorder
from tierlens.capture.trace import Open
from tierlens.policy import MetricRule
from tierlens.spans import Metric

_ANY = MetricRule()
LONGEST = 250


def measure(recorder: Recorder, opened: Open, name: str, value: object) -> None:
    """Put a metric on a span, or say there why not."""
    if why := _unnameable(name):
        recorder.shield.warn(f"metric {name[:80]}", f"metric {privacy.in_log(opened, name)} was not recorded: {why}")
        return
    rule = opened.policy.metrics.get(name, _ANY)
    clean = as_metric(value)
    fault = "is no finite number, bool or text" if clean is None else _unfit(clean) or rule.fault(clean)
    if fault:
        shown = (
            payload.safe_repr(value) if isinstance(value, int | float) else f"a value of type {type(value).__name__}"
        )
        opened.attributes[keys.METRIC_REFUSED + name] = f"{shown} {fault}"
        recorder.shield.warn(
            f"metric {name}", f"metric {privacy.in_log(opened, name)} was not recorded: {shown} {fault}"
        )
    elif clean is not None:
        opened.measure(name, clean)
        opened.attributes.pop(keys.METRIC_REFUSED + name, None)
        if rule.unit:
            opened.attributes[keys.METRIC_UNIT + name] = rule.unit
        if rule.direction:
            opened.attributes[keys.METRIC_DIRECTION + name] = rule.direction


def _unnameable(name: str) -> str:
    """Why MLflow would not have a metric by this name; "" where it would."""
    if not name.strip():
        return "it has no name"
    if len(name) > LONGEST:
        return f"its name has {len(name)} characters, and MLflow has room for {LONGEST}"
    return "" if name.isprintable() else "its name has characters that cannot be printed"


def _unfit(value: Metric) -> str:
    """What is wrong with a label; "" of numbers."""
    if not isinstance(value, str):
        return ""
    if not value.strip():
        return "is empty"
    fault = f"has {len(value)} characters, and a label at most {LONGEST}: give longer text to tag() or artifact()"
    return fault if len(value) > LONGEST else ""


def measure_outputs(recorder: Recorder, opened: Open, outputs: object) -> None:
    """Read the metrics that the agent's YAML names out of its outputs; one that is not there is missing."""
    if opened.kind != "AGENT" and opened.parent is not None:
        return
    for name, rule in opened.policy.metrics.items():
        value = lookup({"outputs": outputs}, rule.path) if rule.path else None
        if value is not None:
            measure(recorder, opened, name, value)
