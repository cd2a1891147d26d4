"""One call through a wrapped client, from its first try to its end."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, ClassVar, Final

from tierlens import keys
from tierlens.capture import beside, chains, models, outcomes
from tierlens.capture.outcomes import FINE, Outcome
from tierlens.capture.recorder import Recorder
from tierlens.capture.shapes import fields
from tierlens.capture.shield import shielded
from tierlens.capture.trace import Open
from tierlens.capture.usage import from_anthropic

NAME: Final = "anthropic.messages"
under_way: ContextVar[Call | None] = ContextVar("tierlens_anthropic_call", default=None)


class Call:
    """A call whose span is open. None of its methods raises, and after its end they do nothing.

    Args:
        asked: what the caller asked, for where no try of the client's has said it better.
        limit: how often the client may try.
        provider: as LangChain names it.
    """

    kind: ClassVar[str] = "CHAT_MODEL"
    name: ClassVar[str] = NAME

    def __init__(self, recorder: Recorder, opened: Open, asked: object, limit: int, provider: str) -> None:
        self.shield = recorder.shield
        self.recorder = recorder
        self.opened = opened
        self.done = False
        self._asked, self._limit, self._provider = asked, limit, provider
        self._tries = 0
        self._try_ns = opened.start_ns
        self._missed: tuple[int, str] | None = None

    @shielded
    def trying(self, body: object) -> None:
        """A request is about to be sent; ``body`` is its JSON, as the client has prepared it."""
        self._put_missed()
        self._tries += 1
        self._try_ns = self.opened.trace.now()
        if self._tries == 1 and self.opened.recording:
            self.describe(fields(body))
            self.recorder.started(self.opened)

    @shielded
    def got(self, response: Any) -> None:
        """The try under way brought a response, which may be a refusal."""
        if response.status_code >= 400:
            self._missed = self.opened.trace.now(), f"{response.status_code} {response.http_response.reason_phrase}"

    @shielded
    def missed(self, error: BaseException) -> None:
        """The try under way brought no response; whether there will be another is up to the client."""
        cause = error.__cause__
        words = [outcomes.of_exception(one).detail for one in (error, cause) if one is not None]
        self._missed = self.opened.trace.now(), " from ".join(words)

    def _put_missed(self) -> None:
        """A try that was followed by another gets a span of its own below the call's."""
        if self._missed is None or not self.opened.recording:
            return
        (end_ns, why), self._missed = self._missed, None
        opened = self.opened
        attempt = self.recorder.start(
            object(), f"try {self._tries}", "TASK", parent=opened, context=opened.trace.context
        )
        attempt.start_ns = self._try_ns
        self._number(attempt)
        self.recorder.finish(attempt, Outcome(outcomes.RETRIED, why), end_ns=end_ns)

    def _number(self, opened: Open) -> None:
        opened.attributes[keys.ATTEMPT] = self._tries
        opened.attributes[keys.MAX_ATTEMPTS] = self._limit

    @shielded
    def ended(self, answer: object, outcome: Outcome = FINE) -> None:
        """End the span with what was answered, or None."""
        if self._close(answer):
            self._finish(outcome)

    @shielded
    def raised(self, error: BaseException, answer: object = None) -> None:
        """End the span of a call that raised, with what was answered before."""
        if not self._close(answer):
            return
        if self.opened.key in self.recorder.open:
            chains.fail(self.recorder, self.opened, error)
        else:
            self._finish(outcomes.of_exception(error))

    def _finish(self, outcome: Outcome) -> None:
        """End the span; one that was taken for abandoned, its trace having ended before the stream did, once more."""
        opened = self.opened
        if opened.key in self.recorder.open:
            self.recorder.finish(opened, outcome)
        else:
            self.recorder.finish_late(opened, outcome)

    def _close(self, answer: object) -> bool:
        if self.done:
            return False
        self.done = True
        if self.opened.recording:
            if self._tries > 1:
                self._number(self.opened)
            self._put(fields(answer))
        return True

    def _put(self, answer: Mapping[str, Any]) -> None:
        try:
            if not self._tries:  # refused before it was sent, or answered by a middleware of the user's own
                self.describe(fields(self._asked))
            if answer:
                self.answer(answer)
        except Exception as error:
            self.shield.report(f"reading what {self.name} was asked and answered", error)

    def describe(self, body: Mapping[str, Any]) -> None:
        """Put on the span what is asked."""
        system = body.get("system")
        opening = [{"role": "system", "content": system}] if system else []
        models.describe(self.opened, [*opening, *body.get("messages", ())], body, {"ls_provider": self._provider})

    def answer(self, answer: Mapping[str, Any]) -> None:
        """Put on the span what was answered."""
        put_message(self.recorder, self.opened, answer)


def put_message(recorder: Recorder, opened: Open, message: Mapping[str, Any]) -> None:
    """Put an Anthropic message, given by its fields, on the span of the call that brought it."""
    blocks = [fields(block) for block in message.get("content") or ()]
    models.put_replies(opened, [{"content": blocks, "stop_reason": message.get("stop_reason")}])
    models.put_usage(opened, from_anthropic(message.get("usage")), message.get("model"))
    beside.record(recorder, opened, message.get("usage"))
