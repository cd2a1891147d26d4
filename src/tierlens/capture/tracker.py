"""Model calls that neither LangChain nor a wrapped client made, told of once they are over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tierlens.capture import active, contents, measuring, models, outcomes, payload
from tierlens.capture.places import of_brand
from tierlens.capture.recorder import Recorder
from tierlens.capture.trace import Context, Open
from tierlens.capture.usage import Usage
from tierlens.spans import Metric, mlflow_id


class ExperimentTracker:
    """Records calls of any model, made in any way, like those that are recorded by themselves.

    Args:
        brand, kpi, user, session, tags: of the traces, as in ``Lens.callback``.
        agent: whose calls they are; each then lies in a span of that agent's, whose policy holds.

    Raises:
        UnknownBrand: the brand is not one of those configured, and such ones are rejected.
    """

    def __init__(
        self,
        *,
        brand: str | None = None,
        agent: str = "",
        kpi: str | None = None,
        user: str | None = None,
        session: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        if brand is not None and (recorder := active.recorder()) is not None:
            recorder.policies.brand(brand)
        self._agent, self._context = agent, Context(brand, kpi, user, session, dict(tags or {}))

    def track_llm_call(
        self,
        *,
        model: str,
        prompt: str | Sequence[Mapping[str, object]],
        response: str | Mapping[str, object] = "",
        provider: str = "unknown",
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        cache_write_1h_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        latency_s: float = 0.0,
        parameters: Mapping[str, object] | None = None,
        metrics: Mapping[str, Metric] | None = None,
        error: BaseException | None = None,
    ) -> str | None:
        """Record a call that has just ended, in the running trace or in one of its own.

        Args:
            prompt: text, or messages with ``role`` and ``content``.
            response: text, or a message with ``content``.
            provider: as in ``anthropic`` or ``openai``; finds the price.
            input_tokens: all of them, the cache's included. What was not counted is left out, not given as 0.
            cache_write_tokens: all that were written, those for an hour included.
            cache_write_1h_tokens: part of ``cache_write_tokens``.
            reasoning_tokens: part of ``output_tokens``.
            latency_s: seconds from the question to the end of the answer.
            parameters: ``temperature``, ``max_tokens`` and others.
            metrics: custom metrics, onto the agent, or the call where there is none.
            error: what the call raised.

        Returns:
            MLflow's id of the trace; None where nothing is recorded.
        """
        recorder = active.recorder()
        if recorder is None:
            return None
        written = cache_write_tokens, cache_write_1h_tokens
        counts = (input_tokens, output_tokens, cache_read_tokens, *written, reasoning_tokens)
        try:
            messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
            reply = {"content": response} if isinstance(response, str) else dict(response)
            outer, call = self._open(recorder, model, latency_s)
            with _ending(recorder, call, outer, error):
                models.describe(call, messages, parameters or {}, {"ls_model_name": model, "ls_provider": provider})
                if error is None:
                    models.put_replies(call, [reply])
                models.put_usage(call, _usage(recorder, *counts), model)
                for name, value in (metrics or {}).items():
                    measuring.measure(recorder, outer or call, name, value)
                if outer is not None:
                    contents.put_inputs(recorder, outer, {"messages": messages})
                    contents.put_outputs(recorder, outer, reply if error is None else None)
        except Exception as failure:
            recorder.shield.report("tierlens.ExperimentTracker.track_llm_call", failure)
            return None
        return mlflow_id(call.trace.trace_id) if call.recording else None

    def _open(self, recorder: Recorder, model: str, latency_s: float) -> tuple[Open | None, Open]:
        parent, context = of_brand(recorder, self._context)
        outer = None
        if self._agent:
            policy = recorder.policies.agents.get(self._agent)
            agent = policy.agent if policy else self._agent
            outer = recorder.start(
                object(), self._agent, "AGENT", parent=parent, context=context, policy=policy, agent=agent
            )
        call = recorder.start(object(), model, "CHAT_MODEL", parent=outer or parent, context=context)
        for opened in filter(None, (outer, call)):
            opened.start_ns -= int(max(latency_s, 0.0) * 1e9)
        return outer, call


@contextmanager
def _ending(recorder: Recorder, call: Open, outer: Open | None, error: BaseException | None) -> Iterator[None]:
    """Ends both spans, the inner one first, whatever is raised while they are described."""
    try:
        yield
    finally:
        outcome = outcomes.FINE if error is None else outcomes.of_exception(error)
        for opened in filter(None, (call, outer)):
            recorder.finish(opened, outcome)


def _usage(recorder: Recorder, *counts: object) -> Usage:
    asked, answered, read, written, hour, reasoning = (_count(recorder, tokens) for tokens in counts)
    brief = written if written is None or hour is None else max(written - hour, 0)
    return Usage(asked, answered, read, brief, hour, reasoning)


def _count(recorder: Recorder, tokens: object) -> int | None:
    """A number of tokens; what cannot be one is missing, not 0."""
    if tokens is None or (type(tokens) is int and tokens >= 0):
        return tokens
    recorder.shield.warn("tokens", f"{payload.safe_repr(tokens)} is no number of tokens and was not recorded")
    return None
