"""Settings that cannot work are named before anything runs."""

import pytest

from raypipe.train.model import Booster, Logistic, Mlp, check_features


@pytest.mark.parametrize("model", [Booster(), Mlp(), Logistic(), Mlp(hidden=[])])
def test_the_defaults_have_no_problems(model):
    assert model.problems() == []


@pytest.mark.parametrize(
    ("model", "where"),
    [
        (Booster(num_leaves=1), "num_leaves"),
        (Booster(learning_rate=0), "learning_rate"),
        (Booster(bagging_fraction=1.5), "bagging_fraction"),
        (Booster(rounds_per_epoch=0), "rounds_per_epoch"),
        (Mlp(hidden=[64, 0]), "hidden[1]"),
        (Mlp(dropout=1.0), "dropout"),
        (Mlp(batch_rows=0), "batch_rows"),
        (Mlp(num_threads=0), "num_threads"),
        (Logistic(C=-1), "C"),
    ],
)
def test_a_value_that_cannot_work_is_named(model, where: str):
    assert [p.where for p in model.problems()] == [where]


def test_features_that_are_no_numbers_are_named_with_their_type():
    problems = check_features({"a": "float64", "b": "bool", "c": "uint8", "carrier": "string", "at": "timestamp[us]"}, "train")
    assert [str(p).split(", ")[0] for p in problems] == ["train: feature 'carrier' is string", "train: feature 'at' is timestamp[us]"]
