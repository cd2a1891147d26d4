"""Every error tierlens raises, as one tree.

TierlensError
├── ConfigError                where, found, expected
│   ├── UnknownBrand
│   └── SettingsError
├── JournalError
│   ├── JournalRefused         reason: full | quota | too_large | closed | io
│   └── DamagedLine            a line that fails its checksum or its shape
├── ServerNotStarted           a local MLflow server, and why not
└── DeliveryError              what a sink answers
    ├── Unavailable            again, for ever: 408, 429, 5xx, network; retry_after_s
    ├── Forbidden              pause and alarm: 401, 403, unknown experiment
    ├── TooLarge               split by bytes: 413
    └── Rejected               bisect, then dead-letter: 400, 422
"""

from __future__ import annotations


class TierlensError(Exception):
    """Root of all errors raised by tierlens."""


class ConfigError(TierlensError):
    """A file, key or argument that is not what it should be.

    Attributes:
        where: ``path:line`` of a file, or the name of an argument or variable.
        key: dotted key inside the file, or "".
        found: what stood there, as text.
        expected: what would have been right, as text.
    """

    def __init__(self, where: str, key: str, found: str, expected: str) -> None:
        self.where, self.key, self.found, self.expected = where, key, found, expected
        subject = f"{key}: {found}" if key else found
        super().__init__(f"{where}: {subject} {expected}")


class SettingsError(ConfigError):
    """A setting (keyword, environment variable, .env line) that cannot be used."""


class UnknownBrand(ConfigError):
    """A brand the configuration does not name, where unknown brands are rejected."""


class JournalError(TierlensError):
    """The journal could not do what it was asked."""


class JournalRefused(JournalError):
    """A span that was not accepted; ``reason`` is the counter it was counted under."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(f"journal refused a span ({reason}){': ' + detail if detail else ''}")


class DamagedLine(JournalError):
    """A journal line whose checksum or shape is wrong; the reader counts and skips it."""


class ServerNotStarted(TierlensError):
    """A local MLflow server could not be started; the text says why and what to do."""


class DeliveryError(TierlensError):
    """A sink did not take a batch. ``status`` is the HTTP status, or 0 where there was none."""

    def __init__(self, detail: str, status: int = 0) -> None:
        self.detail, self.status = detail, status
        super().__init__(f"{status}: {detail}" if status else detail)


class Unavailable(DeliveryError):
    """Try again, for ever. ``retry_after_s`` is the server's own wish, or None."""

    def __init__(self, detail: str, status: int = 0, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(detail, status)


class Forbidden(DeliveryError):
    """Nothing will pass until a person mends credentials, permissions or the experiment."""


class TooLarge(DeliveryError):
    """The request is over the server's size limit."""


class Rejected(DeliveryError):
    """The server refuses something in this batch; which line is for bisection to find."""
