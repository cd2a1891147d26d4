"""What the endpoint answers when it will not do what it was asked, in Anthropic's shape and vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

ERROR_TYPES: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        500: "api_error",
        504: "timeout_error",
        529: "overloaded_error",
    }
)
MESSAGES: Final[Mapping[int, str]] = MappingProxyType(
    {
        401: "invalid x-api-key",
        403: "Your API key does not have permission to use the specified resource.",
        413: "Request exceeds the maximum allowed number of bytes.",
        429: "This request would exceed your organization's rate limit.",
        500: "Internal server error",
        529: "Overloaded",
    }
)


class Refusal(Exception):
    """An answer other than 200; it ends the request and never leaves the endpoint.

    Attributes:
        status: HTTP status, 400 to 599.
        message: what the client reads.
        details: what the client's own code reads, if anything.
    """

    def __init__(self, status: int, message: str = "", details: Mapping[str, Any] | None = None) -> None:
        self.status = status
        self.details = details
        self.message = message or MESSAGES.get(status, "The request failed.")
        super().__init__(f"{status}: {self.message}")


def invalid(message: str) -> Refusal:
    """A 400 with ``message``."""
    return Refusal(400, message)


def error_type(status: int) -> str:
    """Anthropic's name for ``status``; unknown ones take the name of their class (400 or 500)."""
    return ERROR_TYPES.get(status, ERROR_TYPES[400] if status < 500 else ERROR_TYPES[500])


def error_body(refusal: Refusal, request_id: str | None = None) -> dict[str, Any]:
    """``{"type": "error", "error": {"type", "message"}, "request_id"}``, with the refusal's ``details``, if any."""
    error: dict[str, Any] = {"type": error_type(refusal.status), "message": refusal.message}
    if refusal.details is not None:
        error["details"] = refusal.details
    return {"type": "error", "error": error, "request_id": request_id}
