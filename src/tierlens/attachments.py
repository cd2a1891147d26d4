"""What a span says in place of a file's bytes, so that MLflow's UI shows the file where the span stands.

MLflow keeps a trace's files under ``<artifact location of the trace>/attachments/<uuid>`` and shows, in place
of any ``mlflow-attachment://<uuid>?content_type=…&trace_id=…&size=…`` in a span's inputs or outputs, the file
itself: images inline, audio with a player, others as a download.
"""

from __future__ import annotations

import uuid
from typing import Final
from urllib.parse import urlencode

from tierlens.spans import Artifact, mlflow_id

_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_OID, "tierlens.attachment")


def attachment_id(trace_id: str, span_id: str, artifact: Artifact) -> str:
    """The file's UUID in MLflow: one for one file of one span, so that a re-send is one file."""
    return str(uuid.uuid5(_NAMESPACE, f"{trace_id}/{span_id}/{artifact.name}/{artifact.sha256}"))


def attachment_uri(trace_id: str, span_id: str, artifact: Artifact) -> str:
    """The ``mlflow-attachment://`` text to put into the span's inputs or outputs.

    Args:
        trace_id: 32 hex digits; MLflow's ``tr-`` is added here.
        span_id: the span the file was attached to.
        artifact: the file.
    """
    trace = mlflow_id(trace_id)
    query = urlencode({"content_type": artifact.content_type, "trace_id": trace, "size": str(artifact.size)})
    return f"mlflow-attachment://{attachment_id(trace_id, span_id, artifact)}?{query}"
