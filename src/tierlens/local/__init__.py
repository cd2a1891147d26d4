"""An MLflow of one's own on this machine: for a laptop, the demo, the tests. No agent imports it."""

from __future__ import annotations

from tierlens.local.mlflow_server import MlflowServer, ServerPlan

__all__ = ["MlflowServer", "ServerPlan"]
