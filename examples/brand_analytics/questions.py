"""What the demo asks: different routes, some with an approval, some as a follow-up in the same thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Question:
    """Attributes:
    brand: one of brands.BRANDS.
    text: what is asked.
    kpi: the figure it is about.
    user: who asks.
    thread: questions of one thread are one conversation; the later ones are follow-ups.
    """

    brand: str
    text: str
    kpi: str
    user: str
    thread: str


def _ask(brand: str, number: int, text: str, kpi: str, user: str) -> Question:
    return Question(brand, text, kpi, user, f"{brand.lower()}-{number}")


QUESTIONS: Final = (
    _ask("Remibrutinib", 1, "Did detailing cause the growth in new starts?", "new_starts", "brand-lead"),
    _ask("Remibrutinib", 1, "And how come?", "new_starts", "brand-lead"),
    _ask("Remibrutinib", 2, "How should we reallocate digital touches?", "touches", "digital-lead"),
    _ask("Remibrutinib", 3, "Has payer access shifted, and must we refit?", "access", "market-access"),
    _ask("Remibrutinib", 4, "How many prescribers does an experiment need?", "new_starts", "data-science"),
    _ask("Remibrutinib", 5, "Prepare the quarterly business review.", "all", "brand-lead"),
    _ask("Fabhalta", 1, "Which segment has the widest gap to its potential?", "gap", "brand-lead"),
    _ask("Fabhalta", 1, "Whom should we target first there?", "uplift", "brand-lead"),
    _ask("Fabhalta", 2, "Where should the digital budget go?", "touches", "digital-lead"),
    _ask("Fabhalta", 3, "Did the access score drift over the last two years?", "access", "market-access"),
    _ask("Fabhalta", 4, "What will new starts be next quarter?", "new_starts", "finance"),
    _ask(
        "Fabhalta",
        5,
        "Can we believe the confidence our recommendations state?",
        "quality",
        "data-science",
    ),
    _ask("Kisqali", 1, "Why are new starts falling: is the brand healthy?", "health", "brand-lead"),
    _ask("Kisqali", 1, "Forecast the next three months for me.", "new_starts", "brand-lead"),
    _ask("Kisqali", 2, "Should we move e-mails and webinars between segments?", "touches", "omnichannel-lead"),
    _ask("Kisqali", 3, "Who gains most from detailing?", "uplift", "field-force"),
    _ask("Kisqali", 4, "Is our stated confidence calibrated?", "quality", "data-science"),
    _ask("Kisqali", 5, "Give me a full review of the brand for the board.", "all", "brand-lead"),
)


def questions(brand: str) -> tuple[Question, ...]:
    """A brand's questions, in order."""
    return tuple(question for question in QUESTIONS if question.brand == brand)
