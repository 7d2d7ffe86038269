"""The booster: resumed, it grows the very trees of an uninterrupted run."""

from dataclasses import replace
from pathlib import Path

import pytest

from raypipe.core.errors import Fenced
from raypipe.train.fit import fit
from raypipe.train.model import Booster
from tests.train.sample import Stop, job

SMALL = Booster(num_leaves=7, learning_rate=0.2, rounds_per_epoch=4, num_threads=1)
SAMPLED = replace(SMALL, bagging_fraction=0.7, feature_fraction=0.5)


def _fence() -> None:
    raise Fenced("another run has claimed this training")


@pytest.mark.parametrize("model", [SMALL, SAMPLED], ids=["plain", "sampled"])
def test_a_resumed_training_ends_with_the_bytes_of_an_uninterrupted_one(tmp_path: Path, model: Booster):
    whole = fit(job(tmp_path / "whole", model, epochs=4))
    with pytest.raises(Fenced):
        fit(job(tmp_path / "cut", model, epochs=4, alive=Stop(11, _fence)))
    resumed = fit(job(tmp_path / "cut", model, epochs=4))
    assert resumed.resumed_from == "epoch 2 of 4"
    assert resumed.model == whole.model
    assert resumed.validation == whole.validation


def test_the_number_of_threads_makes_no_difference(tmp_path: Path):
    one, two = (fit(job(tmp_path / str(n), Booster(num_leaves=7, num_threads=n))) for n in (1, 2))
    assert one.model == two.model


def test_it_learns_and_its_text_holds_the_trees_alone(tmp_path: Path):
    fitted = fit(job(tmp_path, SMALL))
    assert fitted.validation["auc"] > 0.85
    assert fitted.model.startswith(b"tree\n")
    assert b"num_threads" not in fitted.model
    assert fitted.model.count(b"\nTree=") == 12


def test_early_stopping_keeps_the_trees_of_the_best_epoch(tmp_path: Path):
    fitted = fit(job(tmp_path, replace(SMALL, num_leaves=63, learning_rate=0.5, rounds_per_epoch=5), epochs=40, early_stopping=2))
    losses = [e["log_loss"] for e in fitted.history]
    assert fitted.best_epoch == len(losses) - 2 == losses.index(min(losses)) + 1
    assert fitted.model.count(b"\nTree=") == 5 * (len(losses) - 2)
    assert fitted.validation["log_loss"] == pytest.approx(min(losses), rel=1e-9)
