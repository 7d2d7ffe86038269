"""The perceptron: resumed in the middle of an epoch after a kill, and refused where torch or values are missing."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from raypipe.core.errors import Fenced
from raypipe.core.store import Store
from raypipe.train import checkpoint
from raypipe.train.fit import fit
from raypipe.train.job import Fitted
from raypipe.train.model import Mlp
from tests.train.sample import FEATURES, MLP, Stop, job


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return fit(job(tmp_path_factory.mktemp("whole"), MLP))


def test_a_training_killed_in_mid_epoch_ends_with_the_bytes_of_an_uninterrupted_one(any_store: Store, uninterrupted: Fitted):
    killed = subprocess.run([sys.executable, "-m", "tests.train.sample", any_store.root], check=False, cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL
    info = checkpoint.latest(any_store, "checkpoints")
    assert info is not None
    assert str(info) == "epoch 1 of 3, step 5"
    resumed = fit(job(any_store.root, MLP))
    assert resumed.resumed_from == "epoch 1 of 3, step 5"
    assert resumed.model == uninterrupted.model
    assert _timeless(resumed) == _timeless(uninterrupted)


def test_all_weights_and_moments_are_those_of_an_uninterrupted_run(tmp_path: Path):
    fit(job(tmp_path / "whole", MLP))
    with pytest.raises(Fenced):
        fit(job(tmp_path / "cut", MLP, checkpoint_every_steps=1, alive=Stop(19, _fence)))
    fit(job(tmp_path / "cut", MLP))
    whole, cut = (_latest(Store.open(tmp_path / name)) for name in ("whole", "cut"))
    assert whole.files.keys() == {"tensors.safetensors"}
    assert whole.files == cut.files


def test_a_finished_training_is_taken_as_it_is(tmp_path: Path, uninterrupted: Fitted):
    reports: list[str] = []
    first = fit(job(tmp_path, MLP))
    again = fit(job(tmp_path, MLP, report=reports.append))
    assert (again.model, again.resumed_from) == (first.model, "epoch 3 of 3")
    assert reports == ["resuming from epoch 3 of 3"]


def test_it_learns_and_its_export_answers_the_same(uninterrupted: Fitted):
    assert uninterrupted.validation["auc"] > 0.85
    assert uninterrupted.export_difference < 1e-5
    assert uninterrupted.format == "onnx"
    assert [e["epoch"] for e in uninterrupted.history] == [1, 2, 3]


def test_another_seed_gives_another_model(tmp_path: Path, uninterrupted: Fitted):
    assert fit(job(tmp_path, MLP, seed=1)).model != uninterrupted.model


def test_early_stopping_keeps_the_best_epoch(tmp_path: Path):
    fitted = fit(job(tmp_path, Mlp(hidden=[64], learning_rate=0.3, batch_rows=64), epochs=30, early_stopping=2))
    losses = [e["log_loss"] for e in fitted.history]
    assert len(losses) < 30
    assert fitted.best_epoch == len(losses) - 2
    assert fitted.validation["log_loss"] == pytest.approx(min(losses), rel=1e-6)


def test_without_hidden_layers_it_is_a_logistic_regression(tmp_path: Path):
    from raypipe.train.torch_ import build

    assert [tuple(p.shape) for p in build(len(FEATURES), Mlp(hidden=[])).parameters()] == [(1, len(FEATURES)), (1,)]


def test_the_users_own_random_state_and_threads_are_left_as_they_were(tmp_path: Path):
    import torch

    threads = torch.get_num_threads()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(job(tmp_path, MLP, epochs=1))
    assert np.array_equal(torch.rand(3).numpy(), expected.numpy())
    assert torch.get_num_threads() == threads


def _fence() -> None:
    raise Fenced("another run has claimed this training")


def _latest(store: Store) -> checkpoint.Checkpoint:
    info = checkpoint.latest(store, "checkpoints")
    assert info is not None
    return checkpoint.read(store, info)


def _timeless(fitted: Fitted) -> list[dict]:
    return [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in fitted.history]
