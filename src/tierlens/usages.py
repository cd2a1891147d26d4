"""Names of the counts that MLflow's ``mlflow.chat.tokenUsage`` has no place for.

They stand in an attribute of their own (`tierlens.keys.FINER_USAGE`), and beside MLflow's names wherever a call's
usage is handed on. Token counts are named as OpenTelemetry's GenAI conventions name theirs, without
``gen_ai.usage.``, and are parts of MLflow's input_tokens or output_tokens, never additions to them.
"""

from __future__ import annotations

from typing import Final

REASONING: Final = "reasoning.output_tokens"
AUDIO_IN: Final = "audio.input_tokens"
AUDIO_OUT: Final = "audio.output_tokens"
IMAGE_IN: Final = "image.input_tokens"
IMAGE_OUT: Final = "image.output_tokens"
SEARCHES: Final = "web_search_requests"

PART_OF_INPUT: Final = (AUDIO_IN, IMAGE_IN)
PART_OF_OUTPUT: Final = (AUDIO_OUT, IMAGE_OUT, REASONING)
AUDIO: Final = (AUDIO_IN, AUDIO_OUT)
FINER: Final = (*PART_OF_INPUT, *PART_OF_OUTPUT, SEARCHES)

BATCH_SHARE: Final = 0.5
"""The part of a published price that is paid in a batch."""
