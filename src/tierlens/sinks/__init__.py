"""Where spans go: one small adapter a destination."""
