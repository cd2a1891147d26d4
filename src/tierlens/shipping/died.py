"""What becomes of a span that was open when its process died."""

from __future__ import annotations

from typing import Any, Final

import orjson

from tierlens import keys
from tierlens.journal.codec import Line
from tierlens.journal.otlp import attribute_list

DIED: Final = "process died"


def died(start: Line, last_ns: int) -> Line:
    """The open span as a finished one: an error, ended when its process was last known to be alive.

    Whatever the start record knew, the prompt above all, is kept.
    """
    span: dict[str, Any] = orjson.loads(start.payload)
    span["endTimeUnixNano"] = str(max(int(span["startTimeUnixNano"]), last_ns))
    span["status"] = {"code": 2, "message": DIED}
    span["attributes"] += attribute_list({keys.OUTCOME: "error", keys.OUTCOME_DETAIL: DIED})
    if start.root:
        # Nobody is left who could say how many spans there were.
        tags = {"outcome": "error", keys.COMPLETE: "false"}
        span["attributes"] += attribute_list({keys.TRACE_TAG + tag: text for tag, text in tags.items()})
    return start._replace(kind="span", payload=orjson.dumps(span))
