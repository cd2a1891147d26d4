"""Artifacts where the reader of a span finds them: in its outputs, as links that MLflow shows as the files."""

from __future__ import annotations

from tierlens import keys
from tierlens.attachments import attachment_uri
from tierlens.capture import payload
from tierlens.capture.trace import Open

_SCHEME = "mlflow-attachment://"


def show(opened: Open) -> None:
    """Add the span's artifacts to its outputs; done once, however often the span is written."""
    outputs = str(opened.attributes.get(keys.OUTPUTS, "{}"))
    if _SCHEME in outputs:
        return
    links = {one.name: attachment_uri(opened.trace.trace_id, opened.span_id, one) for one in opened.artifacts}
    added = payload.dumps({"artifacts": links})
    if not outputs.startswith("{"):
        outputs = f'{{"value":{outputs}}}'
    opened.attributes[keys.OUTPUTS] = added if outputs == "{}" else f"{outputs[:-1]},{added[1:]}"
