"""Searches for the best retrieval settings: an Optuna study whose trials are runs in MLflow, the best one selected.

    python -m examples.search_with_mlflow

Trials are judged on the training queries; what is selected is then judged once on queries that no trial has seen. The
notes are simulated. Where the runs go is said by MLFLOW_TRACKING_URI.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache

import mlflow
import numpy as np
import optuna
import yaml
from langchain_core.documents import Document
from rich.console import Console
from rich.progress import track

from examples.brand_analytics.notes import LabelledQuery, notes, queries
from examples.brand_analytics.retrieval import BM25Retriever, TfidfRetriever, reciprocal_rank_fusion
from examples.rag_with_mlflow import judge

TRIALS = 24
GOAL = "ndcg_at_5"
STUDY = "retrieval settings"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a trial tries.

    Attributes:
        strategy: bm25, tfidf or fusion.
        depth: notes that each retriever brings.
        fusion_k: how little the first ranks count over the later ones, Cormack et al. 2009.
    """

    strategy: str
    depth: int
    fusion_k: int = 60


def suggested(trial: optuna.Trial) -> Settings:
    """Settings for a trial; what only a fusion has is only suggested to one."""
    strategy = trial.suggest_categorical("strategy", ["bm25", "tfidf", "fusion"])
    depth = trial.suggest_int("depth", 3, 12)
    return Settings(strategy, depth, trial.suggest_int("fusion_k", 1, 100, log=True) if strategy == "fusion" else 60)


def retrieved(settings: Settings, query: LabelledQuery) -> list[Document]:
    """A ranking for a query."""
    rankings = [
        _retriever(name, query.brand, settings.depth).invoke(query.query)
        for name in ("bm25", "tfidf")
        if settings.strategy in (name, "fusion")
    ]
    return rankings[0] if len(rankings) == 1 else reciprocal_rank_fusion(rankings, k=settings.fusion_k)


def judged(settings: Settings, labelled: tuple[LabelledQuery, ...]) -> dict[str, float]:
    """Means of the measures over queries."""
    judgements = [judge(retrieved(settings, query), query.relevant) for query in labelled]
    return {name: float(np.mean([each[name] for each in judgements])) for name in judgements[0]}


@cache
def _retriever(name: str, brand: str, depth: int) -> BM25Retriever | TfidfRetriever:
    kind = BM25Retriever if name == "bm25" else TfidfRetriever
    return kind(documents=notes(brand), k=depth)


def search(trials: int = TRIALS) -> tuple[Settings, Mapping[str, float]]:
    """Run the study, each trial a run below the study's own; returns the best settings and what they came to."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    train, test = queries("train"), queries("test")
    with mlflow.start_run(run_name=STUDY) as parent:
        for _ in track(range(trials), "Trying", console=Console(stderr=True), transient=True):
            trial = study.ask()
            settings = suggested(trial)
            with mlflow.start_run(run_name=f"trial {trial.number}", nested=True):
                found = judged(settings, train)
                mlflow.log_params(asdict(settings))
                mlflow.log_metrics(found)
            study.tell(trial, found[GOAL])
            # Over the study's steps, so that its chart shows when it stopped getting better.
            mlflow.log_metric(f"best_{GOAL}", study.best_value, step=trial.number, run_id=parent.info.run_id)
        best = Settings(**{"fusion_k": 60, **study.best_params})
        held_out = judged(best, test)
        mlflow.log_params({f"best_{name}": value for name, value in asdict(best).items()})
        mlflow.log_metrics({f"held_out_{name}": value for name, value in held_out.items()})
        mlflow.log_text(yaml.safe_dump(asdict(best), sort_keys=False), "best.yaml")
        mlflow.set_tag("selected_trial", str(study.best_trial.number))
    return best, held_out


def main() -> None:
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db"))
    mlflow.set_experiment(os.environ.get("STUDY_EXPERIMENT", "brand_analytics/search"))
    best, held_out = search()
    console = Console()
    console.print(f"Selected after {TRIALS} trials: {best}")
    console.print("On queries no trial has seen:", {name: round(value, 3) for name, value in held_out.items()})


if __name__ == "__main__":
    main()
