"""Microsoft's Presidio as what text passes through before it leaves the host: ``pip install 'tierlens[presidio]'``.

Without a spaCy model it finds what has a form: e-mail addresses, phone, card and bank account numbers, addresses of
hosts, and national numbers. With one it also finds what the model calls a person, a place or a group.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any, Final

_LANGUAGE: Final = "en"
# Found everywhere in traces, and seldom personal: without them, a trace cannot be read any more.
_LEFT_ALONE: Final = frozenset({"URL", "DATE_TIME", "UUID", "ID", "AGE", "ORGANIZATION"})
_LEAST_SCORE: Final = 0.35


def recogniser(model: str = "") -> Callable[[str], str]:
    """A function that replaces what Presidio finds by ``[redacted:<what>]``.

    Args:
        model: an installed spaCy model, such as en_core_web_lg; "" is none.

    Raises:
        ImportError, OSError: Presidio, or the model, is not installed.
    """
    presidio: Any = _imported("presidio_analyzer")
    engine = presidio.AnalyzerEngine(nlp_engine=_language(model), supported_languages=[_LANGUAGE])
    wanted = sorted(set(engine.get_supported_entities(_LANGUAGE)) - _LEFT_ALONE)

    def rewrite(text: str) -> str:
        found = engine.analyze(text, language=_LANGUAGE, entities=wanted, score_threshold=_LEAST_SCORE)
        return replaced(text, [(one.start, one.end, one.entity_type) for one in found])

    return rewrite


def replaced(text: str, found: Iterable[tuple[int, int, str]]) -> str:
    """``text`` with each range replaced; of ranges that overlap, the whole, by the name of the first."""
    parts, done = list[str](), 0
    for start, end, what in sorted(found, key=lambda one: (one[0], -one[1])):
        if start >= done:
            parts += [text[done:start], f"[redacted:{what.lower()}]"]
        done = max(done, end)
    return "".join([*parts, text[done:]])


def _language(model: str) -> Any:
    spacy: Any = _imported("spacy")
    engines: Any = _imported("presidio_analyzer.nlp_engine")
    # It would ask public sites for a list of domains that it has with it.
    suffixes: Any = _imported("tldextract.tldextract")
    suffixes.TLD_EXTRACTOR.suffix_list_urls = ()
    engine = engines.SpacyNlpEngine()
    # Not by its own `load`, which would download a model that is missing.
    engine.nlp = {_LANGUAGE: spacy.load(model) if model else spacy.blank(_LANGUAGE)}
    return engine


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{error.name} is not installed: pip install 'tierlens[presidio]'") from error
