"""The same faults for other tracing clients, each in an environment of its own: ``make faults-peers``.

A worker runs in the peer's environment and imports nothing but the standard library, the peer's client and what it
shares with our own rows: the receipts. Its calls are named by ids of the harness's own, so that one verdict fits all:
a call is accepted once the client's own call that ends its span has returned.
"""
