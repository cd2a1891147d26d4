"""The shipped brand notes and their labelled queries, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import yaml
from langchain_core.documents import Document

FOLDER: Final = Path(__file__).parent / "notes"


@dataclass(frozen=True, slots=True)
class LabelledQuery:
    """A query and its relevant notes: 2 answers it, 1 helps; ``split`` is "train" or "test"."""

    brand: str
    query: str
    relevant: Mapping[str, int]
    split: str


@cache
def notes(brand: str) -> tuple[Document, ...]:
    """A brand's notes and the notes on methods; ids look like ``kisqali/digital-touches``."""
    return tuple(_read(brand.lower()) + _read("methods"))


@cache
def queries(split: str) -> tuple[LabelledQuery, ...]:
    """The labelled queries of a split."""
    rows = yaml.safe_load((FOLDER / "queries.yaml").read_text("utf-8"))
    return tuple(LabelledQuery(**row) for row in rows if row["split"] == split)


def _read(name: str) -> list[Document]:
    """A file's ``## slug`` sections as documents; what stands before the first is its disclaimer."""
    _, *sections = (FOLDER / f"{name}.md").read_text("utf-8").split("\n## ")
    return [_document(name, *section.split("\n", 1)) for section in sections]


def _document(name: str, slug: str, body: str) -> Document:
    identity, title = f"{name}/{slug.strip()}", slug.strip().replace("-", " ")
    text = f"{title.capitalize()}. {' '.join(body.split())}"
    return Document(text, id=identity, metadata={"id": identity, "title": title, "source": f"{name}.md"})
