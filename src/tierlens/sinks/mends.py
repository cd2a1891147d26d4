"""What to do about what MLflow answers, for all who hear it."""

from __future__ import annotations

from tierlens.errors import DeliveryError


def mend_of(error: DeliveryError) -> str:
    """What a person can do about a refusal; "" where the error says it itself, or nothing is known."""
    if error.status == 401:
        return "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    if error.status == 403:
        return "let this user read, make and write to the experiments"
    if error.status in (404, 405):
        return "set MLFLOW_TRACKING_URI to the address of an MLflow server, its prefix included"
    return ""


def with_mend(error: DeliveryError) -> str:
    """What a refusal says, and what a person can do about it, where that is known."""
    return f"{error}; {mend}" if (mend := mend_of(error)) else str(error)
