"""Every attribute and tag name, once.

``mlflow.*`` names are MLflow's own (mlflow.tracing.constant); ``tierlens.*`` are ours.
"""

from __future__ import annotations

from typing import Final

SPAN_TYPE: Final = "mlflow.spanType"
INPUTS: Final = "mlflow.spanInputs"
OUTPUTS: Final = "mlflow.spanOutputs"
TOKEN_USAGE: Final = "mlflow.chat.tokenUsage"
COST: Final = "mlflow.llm.cost"
PRICE_SHARE: Final = "tierlens.price_share"
MODEL: Final = "mlflow.llm.model"
PROVIDER: Final = "mlflow.llm.provider"
CHAT_TOOLS: Final = "mlflow.chat.tools"
TRACE_NAME: Final = "mlflow.traceTag.mlflow.traceName"
TRACE_TAG: Final = "mlflow.traceTag."
SESSION: Final = "session.id"
USER: Final = "user.id"

OUTCOME: Final = "tierlens.outcome"
OUTCOME_DETAIL: Final = "tierlens.outcome.detail"
ATTEMPT: Final = "tierlens.attempt"
MAX_ATTEMPTS: Final = "tierlens.max_attempts"
AGENT: Final = "tierlens.agent"
TIER: Final = "tierlens.tier"
BRAND: Final = "tierlens.brand"
PARAMS: Final = "invocation_params"
TTFT_MS: Final = "tierlens.llm.time_to_first_token_ms"
TOKENS_PER_S: Final = "tierlens.llm.tokens_per_second"
BATCH_ID: Final = "tierlens.llm.batch_id"
BATCH_REQUESTS: Final = "tierlens.llm.batch_requests"
CUSTOM_ID: Final = "tierlens.llm.custom_id"
METRIC: Final = "tierlens.metric."
TOOL_CALL_ID: Final = "tierlens.tool_call_id"
CHECKPOINT_NS: Final = "tierlens.checkpoint_ns"
RUN_ID: Final = "tierlens.run_id"
RESUMED_FROM: Final = "tierlens.resumed_from"
WAITED_S: Final = "tierlens.waited_s"
TOP_K: Final = "tierlens.top_k"
RERANKING: Final = "tierlens.reranking"
SPANS_STARTED: Final = "tierlens.spans_started"
SPANS_STORED: Final = "tierlens.spans_stored"
COMPLETE: Final = "tierlens.complete"
DELIVERY: Final = "tierlens.delivery"
CONTEXT_DOCUMENTS: Final = "tierlens.context"
