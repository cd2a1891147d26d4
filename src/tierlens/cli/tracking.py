"""MLflow as commands read it, through its own client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def pages(search: Callable[..., Any], **arguments: Any) -> Iterator[Any]:
    """Whatever one of the client's searches finds, of all its pages."""
    token = None
    while True:
        page = search(**arguments, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
