"""What Claude sampled within one call beside its answer: compactions of the conversation, answers of an advisor.

They are billed, and the call's own usage leaves them out, so each is a model call below it. Which model answered,
where the one that was asked would not, stands in the same list.

https://platform.claude.com/docs/en/build-with-claude/compaction and .../agents-and-tools/tool-use/advisor-tool
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tierlens import keys
from tierlens.capture import models
from tierlens.capture.outcomes import FINE
from tierlens.capture.recorder import Recorder
from tierlens.capture.shapes import all_fields, fields
from tierlens.capture.trace import Open
from tierlens.capture.usage import from_anthropic

_NAMES: Final = {"compaction": "compaction", "advisor_message": "advisor"}
_OF_THE_CALL: Final = ("service_tier", "inference_geo")
_UNTOLD: Final = (None, None)


def record(recorder: Recorder, call: Open, usage: object) -> None:
    """Record what the usage of a call, Anthropic's object or mapping, lists as sampled beside its answer."""
    counts = all_fields(usage)
    if not call.recording or not (listed := counts.get("iterations")):
        return
    for place, one in enumerate(map(fields, listed)):
        kind = one.get("type")
        if kind == "fallback_message" and one.get("model"):
            call.attributes[keys.MODEL] = str(one["model"])
        elif kind in _NAMES:
            _record(recorder, call, place, one, counts)


def _record(recorder: Recorder, call: Open, place: int, one: Mapping[str, Any], counts: Mapping[str, Any]) -> None:
    name = _NAMES[one["type"]]
    opened = recorder.start(_key(call, place), name, "CHAT_MODEL", parent=call, context=call.trace.context)
    try:
        opened.start_ns, opened.asked = call.start_ns, _UNTOLD
        model = one.get("model") or call.attributes.get(keys.MODEL, "")
        opened.attributes |= {keys.MODEL: str(model), keys.PROVIDER: call.attributes.get(keys.PROVIDER, "unknown")}
        models.put_usage(opened, from_anthropic(dict(_served(name, one, counts))), None)
    finally:
        recorder.finish(opened, FINE)


def _served(name: str, one: Mapping[str, Any], counts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Its counts, with how the call was served; an advisor is another model, at a speed of its own."""
    yield from ((key, counts.get(key)) for key in (*_OF_THE_CALL, *(() if name == "advisor" else ("speed",))))
    yield from one.items()


def _key(call: Open, place: int) -> object:
    """Made from the call's, which may be the same however often it is recorded."""
    if type(call.key) is not int:
        return object()
    return int.from_bytes(hashlib.sha256(f"{call.key}\n{place}".encode()).digest()[:16], "big")
