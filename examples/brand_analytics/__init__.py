"""Eleven agents for three brands, on simulated data: the reference application.

    python -m examples.brand_analytics

There is no tierlens in the agents. What is recorded of them is said in config/, and one callback records it.
"""
