"""``make demo``: the eleven agents, traced into a local MLflow, and what MLflow then says about them.

    python -m examples.demo [--data var/demo] [--json]

Every figure in the closing table is read back from MLflow; only the endpoint's ledger, which it is compared
with, comes from elsewhere.
"""
