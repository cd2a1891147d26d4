"""The eleven agents, one a module: pure functions compute, ``run`` words and returns the state update."""
