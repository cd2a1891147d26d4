"""Direct calls of Claude through Anthropic's own client.

A wrapped client is a copy of the user's, of the same type. Every call of its resources goes through one method,
``request``; every try of it goes through the client's public middleware::

    messages.create ─┐
    messages.stream ─┼─► request ─► middleware ─► HTTP      client: opens the call, counts its tries
    beta, batches … ─┘      │
                            ├─► a message                   call: puts it on the span, ends it
                            ├─► a stream of events          streams: looks at each on its way, reply adds them up
                            ├─► a raw response              responses: waits until it is parsed or closed,
                            │                                       bodies keeps what is read of it by hand
                            └─► a batch, or its results     batches: a span a result

The anthropic package is never imported here: its objects come in with the client and are read by their shape.
"""

from __future__ import annotations

from tierlens.capture.anthropic.client import is_client, wrap_client

__all__ = ["is_client", "wrap_client"]
