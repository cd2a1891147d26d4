from __future__ import annotations

import pytest

from tierlens.errors import Forbidden, Unavailable
from tierlens.projection.experiments import Experiment, Experiments


class Store:
    """Experiments in a dict; ``taken_by_others`` appear between a look-up and a creation."""

    def __init__(self) -> None:
        self.found: dict[str, Experiment] = {}
        self.taken_by_others: dict[str, Experiment] = {}
        self.calls: list[str] = []
        self.locations: list[str] = []

    def experiment_named(self, name):
        self.calls.append("find")
        return self.found.get(name)

    def create_experiment(self, name, artifact_location, tags):
        self.calls.append("create")
        self.locations.append(artifact_location)
        if name in self.taken_by_others:
            self.found[name] = self.taken_by_others[name]
            return None
        self.found[name] = Experiment(str(len(self.found) + 1), name, active=True)
        return self.found[name].id


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store():
    return Store()


def test_an_experiment_is_made_once_and_then_remembered(store):
    experiments = Experiments(store, "s3://bucket")

    assert [experiments.id_of("app/Kisqali") for _ in range(3)] == ["1", "1", "1"]
    assert store.calls == ["find", "create"]
    assert store.locations == ["s3://bucket"]


def test_an_experiment_that_is_there_is_not_made_again(store):
    store.found["app/Kisqali"] = Experiment("7", "app/Kisqali", active=True)

    assert Experiments(store).id_of("app/Kisqali") == "7"
    assert store.calls == ["find"]


def test_who_loses_the_race_uses_the_winners(store):
    store.taken_by_others["app/Kisqali"] = Experiment("9", "app/Kisqali", active=True)

    assert Experiments(store).id_of("app/Kisqali") == "9"


def test_brands_have_experiments_of_their_own(store):
    experiments = Experiments(store)

    assert experiments.id_of("app/Kisqali") != experiments.id_of("app/Fabhalta")


def test_a_deleted_experiment_is_forbidden_and_never_remembered(store):
    store.found["app/Kisqali"] = Experiment("7", "app/Kisqali", active=False)
    experiments = Experiments(store)

    with pytest.raises(Forbidden, match="mlflow experiments restore -x 7"):
        experiments.id_of("app/Kisqali")
    store.found["app/Kisqali"] = Experiment("7", "app/Kisqali", active=True)

    assert experiments.id_of("app/Kisqali") == "7"


def test_an_id_is_asked_for_again_in_case_the_database_was_replaced(store):
    clock = Clock()
    experiments = Experiments(store, recheck_s=30, clock=clock)
    experiments.id_of("app/Kisqali")
    store.found["app/Kisqali"] = Experiment("88", "app/Kisqali", active=True)

    clock.now = 29.9
    assert experiments.id_of("app/Kisqali") == "1"
    clock.now = 30.0
    assert experiments.id_of("app/Kisqali") == "88"


def test_all_ids_are_asked_for_again_where_one_was_wrong(store):
    experiments = Experiments(store)
    brands = ("app/Kisqali", "app/Fabhalta")
    assert [experiments.id_of(brand) for brand in brands] == ["1", "2"]
    store.found = {brands[1]: Experiment("1", brands[1], active=True)}

    experiments.forget()

    assert [experiments.id_of(brand) for brand in brands] == ["2", "1"]


def test_neither_found_nor_made_is_tried_again_later(store):
    store.taken_by_others["app/Kisqali"] = None

    with pytest.raises(Unavailable):
        Experiments(store).id_of("app/Kisqali")
