"""Putting all text of what is about to leave the host through a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from tierlens import keys
from tierlens.projection.finish import Finding, Finish
from tierlens.projection.names import metric_name
from tierlens.projection.runs import Record

Rewrite = Callable[[str], str]

# Said by the configuration, or made of numbers: what MLflow finds and sums traces by.
_STRUCTURE: Final = frozenset(
    {
        *(keys.SPAN_TYPE, keys.MODEL, keys.PROVIDER, keys.TOKEN_USAGE, keys.COST, keys.OUTCOME, keys.PARAMS),
        *(keys.AGENT, keys.TIER, keys.BRAND, keys.TRACE_NAME, keys.RUN_ID, keys.CHECKPOINT_NS, keys.TOOL_CALL_ID),
        *(keys.FINER_USAGE, keys.SERVICE_TIER, keys.TRACE_TAG + keys.SPANS, keys.TRACE_TAG + keys.COMPLETE),
        *(keys.TRACE_TAG + name for name in ("app", "brand", "kpi", "environment", "agents", "tiers", "outcome")),
    }
)
_RUN_TAGS: Final = frozenset({keys.SESSION, keys.USER, keys.OUTCOME_DETAIL})
# Words of a message's form, where a form puts them.
_FORMS: Final = {
    "role": frozenset({"system", "user", "assistant", "tool", "function", "developer", "human", "ai"}),
    "type": frozenset({"text", "function", "tool_use", "tool_result", "thinking", "image", "image_url", "tool_call"}),
}


def rewritten_payload(payload: bytes, rewrite: Rewrite) -> bytes:
    """One span's OTLP JSON."""
    return orjson.dumps(rewritten_span(orjson.loads(payload), rewrite))


def rewritten_span(span: Mapping[str, Any], rewrite: Rewrite) -> dict[str, Any]:
    """The same of one that is parsed. Ids, names, times and what traces are found by stay."""
    found = dict(span)
    if message := span.get("status", {}).get("message"):
        found["status"] = {**span["status"], "message": rewrite(message)}
    for part in ("events", "links"):
        if part in span:
            found[part] = [{**one, **_attributes(one, rewrite)} for one in span[part]]
    return {**found, **_attributes(span, rewrite)}


def rewritten_finish(finish: Finish, rewrite: Rewrite) -> Finish:
    """Labels of metrics, and the root that speaks for the trace. Its files are the caller's."""
    return replace(
        finish,
        root=rewritten_span(finish.root, rewrite),
        findings=tuple(_finding(finding, rewrite) for finding in finish.findings),
    )


def rewritten_record(record: Record, rewrite: Rewrite) -> Record:
    """The tags of a run that name somebody or hold text, and the labels that its metrics count."""
    tags = {
        key: rewrite(value) if key in _RUN_TAGS or key.startswith("label.") else value
        for key, value in record.run.tags.items()
    }
    metrics = {_counted(name, rewrite): value for name, value in record.metrics.items()}
    return replace(record, run=replace(record.run, tags=tags), metrics=metrics)


def _counted(name: str, rewrite: Rewrite) -> str:
    metric, _, label = name.rpartition("/")
    return metric_name(f"{metric}/{rewrite(label)}") if metric and metric != "outcome" else name


def rewritten_tags(tags: Mapping[str, str], rewrite: Rewrite) -> dict[str, str]:
    """A trace's tags."""
    return {key: text if keys.TRACE_TAG + key in _STRUCTURE else _text(text, rewrite) for key, text in tags.items()}


def _finding(finding: Finding, rewrite: Rewrite) -> Finding:
    return replace(finding, value=rewrite(finding.value)) if isinstance(finding.value, str) else finding


def _attributes(owner: Mapping[str, Any], rewrite: Rewrite) -> dict[str, Any]:
    if "attributes" not in owner:
        return {}
    return {"attributes": [_attribute(one, rewrite) for one in owner["attributes"]]}


def _attribute(attribute: Mapping[str, Any], rewrite: Rewrite) -> Mapping[str, Any]:
    text = attribute["value"].get("stringValue")
    if not text or attribute["key"] in _STRUCTURE:
        return attribute
    return {**attribute, "value": {"stringValue": _text(text, rewrite)}}


def _text(text: str, rewrite: Rewrite) -> str:
    """A text; of dumped JSON the strings in it, so that it stays JSON."""
    if text[:1] in ("{", "[", '"'):
        try:
            return orjson.dumps(_value(orjson.loads(text), rewrite)).decode()
        except orjson.JSONDecodeError:
            pass
    return rewrite(text)


def _value(value: Any, rewrite: Rewrite, key: str = "") -> Any:
    if isinstance(value, str):
        return value if value in _FORMS.get(key, ()) else _text(value, rewrite)
    if isinstance(value, Mapping):
        return {_key(name, rewrite): _value(item, rewrite, name) for name, item in value.items()}
    if isinstance(value, Sequence):
        return [_value(item, rewrite) for item in value]
    return value


def _key(name: str, rewrite: Rewrite) -> str:
    """What is no identifier may be text."""
    return name if name.isidentifier() else rewrite(name)
