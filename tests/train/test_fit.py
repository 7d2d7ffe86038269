"""What a training refuses, in one line each, and what it hands back."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from raypipe.bundle.bundle import load, save
from raypipe.bundle.scorer import open_scorer
from raypipe.bundle.signature import Field, Signature
from raypipe.core.artifact import Model
from raypipe.core.errors import DataError
from raypipe.core.store import Store
from raypipe.data.transform.chain import Chain
from raypipe.data.transform.entry import Select
from raypipe.evaluate.metrics import Scores
from raypipe.train.fit import best_f1, exported, fit
from raypipe.train.job import Trained
from raypipe.train.model import Booster, Logistic, Mlp
from tests.train.sample import FEATURES, MLP, NUM_ROWS, job, rows

QUICK = Booster(num_leaves=3, rounds_per_epoch=2, num_threads=1)


def with_column(name: str, values) -> pa.Table:
    table = rows()
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def holed(name: str, numbers: list[int], hole=None) -> list:
    values = rows()[name].to_pylist()
    for number in numbers:
        values[number] = hole
    return values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (holed("late", [0, 5]), "label 'late' is null in 2 rows of the train part"),
        ([float("nan"), *[0.0, 1.0] * 2000][:NUM_ROWS], "label 'late' is null in 1 rows of the train part"),
        ([i % 3 for i in range(NUM_ROWS)], r"label 'late' has 3 classes \(0, 1, 2\): a model of this version has two"),
        ([True] * NUM_ROWS, r"label 'late' has 1 class \(True\): a model of this version has two"),
        (list(range(NUM_ROWS)), r"label 'late' has more than 1,000 classes \(0, 1, 2, 3, 4, \.\.\.\)"),
        ([i >= 3200 for i in range(NUM_ROWS)], r"label 'late' has 1 class in the train part \(False\)"),
    ],
    ids=["null", "nan", "three", "one", "many", "one in a part"],
)
def test_a_label_that_is_no_two_classes_is_refused(tmp_path: Path, values: list, message: str):
    with pytest.raises(DataError, match=message):
        fit(job(tmp_path, QUICK, with_column("late", values)))


def test_a_feature_that_is_no_number_is_refused(tmp_path: Path):
    with pytest.raises(
        DataError, match=r"feature 'hour' is string, a model takes numbers: encode it \(raypipe.OneHot, raypipe.Ordinal\) or leave it out"
    ):
        fit(job(tmp_path, QUICK, with_column("hour", ["noon"] * NUM_ROWS)))


@pytest.mark.parametrize("model", [Mlp(), Logistic()], ids=["mlp", "logistic"])
def test_missing_values_are_refused_by_name_where_the_model_takes_none(tmp_path: Path, model):
    with_both = with_column("wind", holed("wind", [1, 2, 3])).set_column(0, "distance", pa.array(holed("distance", [9], float("nan"))))
    with pytest.raises(DataError, match=r"without a value: 'distance' \(1 rows\), 'wind' \(3 rows\).*raypipe.Impute"):
        fit(job(tmp_path, model, with_both))


def test_values_missing_in_the_test_part_alone_are_none_of_a_trainings_concern(tmp_path: Path):
    assert fit(job(tmp_path, Logistic(), with_column("wind", holed("wind", [NUM_ROWS - 1])))).validation["auc"] > 0.8


def test_infinities_are_refused_by_name(tmp_path: Path):
    with pytest.raises(DataError, match="features 'wind' hold values that are no finite float32"):
        fit(job(tmp_path, Logistic(), with_column("wind", holed("wind", [3], 1e300))))


def test_the_booster_takes_missing_values(tmp_path: Path):
    assert fit(job(tmp_path, QUICK, with_column("wind", holed("wind", list(range(500)))))).validation["auc"] > 0.7


def test_a_part_without_rows_is_refused(tmp_path: Path):
    early = pa.array(np.asarray(rows()["at"]) - np.timedelta64(400, "D"))
    with pytest.raises(DataError, match="the validation part has no rows"):
        fit(job(tmp_path, QUICK, rows().set_column(5, "at", early)))


def test_classes_are_named_after_the_labels_values_or_as_asked(tmp_path: Path):
    fitted = fit(job(tmp_path / "bool", QUICK))
    assert (fitted.classes, fitted.positive) == (("false", "true"), "true")
    assert fit(job(tmp_path / "named", QUICK, classes=("on time", "late"))).classes == ("on time", "late")
    yes = ["yes" if x else "no" for x in rows()["late"].to_pylist()]
    turned = fit(job(tmp_path / "text", QUICK, with_column("late", yes), classes=("yes", "no")))
    assert (turned.classes, turned.positive) == (("yes", "no"), "no")
    assert turned.validation["base_rate"] == pytest.approx(1 - fitted.validation["base_rate"])
    with pytest.raises(DataError, match=r"has the classes 'no' and 'yes', but the settings name 'no' and 'yess'"):
        fit(job(tmp_path / "wrong", QUICK, with_column("late", yes), classes=("no", "yess")))


def test_the_threshold_is_the_best_by_f1_or_as_asked(tmp_path: Path):
    chosen = fit(job(tmp_path / "f1", QUICK))
    assert 0 < chosen.threshold < 1
    assert chosen.validation["f1"] > fit(job(tmp_path / "set", QUICK, threshold=0.9)).validation["f1"]


def test_the_best_threshold_lies_between_two_scores():
    scores = Scores.partial(np.array([0, 0, 1, 0, 1, 1]), np.array([0.1, 0.2, 0.4, 0.5, 0.8, 0.9]))
    assert best_f1(scores) == pytest.approx(0.3)
    assert best_f1(Scores.partial(np.array([1, 1, 0]), np.array([0.5, 0.5, 0.4]))) == pytest.approx(0.45)
    assert best_f1(Scores.partial(np.array([1, 1]), np.array([0.2, 0.8]))) == pytest.approx(0.1)


def test_an_export_that_answers_differently_is_refused_with_the_figure(tmp_path: Path):
    fitted = fit(job(tmp_path, Logistic()))
    features_BF = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    answers = open_scorer("onnx", fitted.model, 4)(features_BF)
    assert exported(Trained("onnx", fitted.model, lambda _: answers * (1 + 1e-6)), features_BF)[1] == pytest.approx(1e-6, rel=1e-3)
    with pytest.raises(DataError, match=r"differently from the trained one: by 1.0e-03 \(relative; 1e-05 is allowed\).*Standardize"):
        exported(Trained("onnx", fitted.model, lambda _: answers * 1.001), features_BF)


@pytest.mark.parametrize("model", [QUICK, MLP, Logistic()], ids=["booster", "mlp", "logistic"])
def test_the_bundle_answers_as_the_training_did(tmp_path: Path, model):
    fitted = fit(job(tmp_path, model))
    chain = Chain({"keep": Select(list(FEATURES))}).fit(rows().drop_columns(["late"]).schema, lambda stage: [])
    inputs = tuple(Field(f.name, str(f.type)) for f in chain.inputs)
    files = save(
        Store.open(tmp_path),
        "bundle",
        format=fitted.format,
        model_bytes=fitted.model,
        chain_json=chain.to_json(),
        code=None,
        signature=Signature(inputs, FEATURES, "late", fitted.classes, fitted.positive),
        threshold=fitted.threshold,
        lineage={},
        examples=rows().slice(0, 5),
    )
    bundle = load(Store.open(tmp_path), Model("a", "p", "train", "r", "f", "d", "bundle", files))
    bundle.verify()
    validation = rows().slice(NUM_ROWS * 6 // 8, NUM_ROWS // 8)
    answers = bundle.predict(validation)
    found = Scores.partial(bundle.is_positive(validation["late"]), answers["probability"].to_numpy()).figures(bundle.threshold)
    assert found == fitted.validation
    assert answers["prediction"].to_pylist().count("true") == (answers["probability"].to_numpy() >= fitted.threshold).sum()


def test_it_starts_no_ray_and_says_nothing_of_its_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    import ray

    was_up, level = ray.is_initialized(), logging.getLogger("ray.train").level
    fitted = fit(job(tmp_path, QUICK))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert ray.is_initialized() == was_up
    assert logging.getLogger("ray.train").level == level
    assert fitted.num_rows == {"train": NUM_ROWS * 6 // 8, "validation": NUM_ROWS // 8}
    assert len(FEATURES) == 4


@pytest.mark.parametrize("model", [MLP, QUICK], ids=["mlp", "booster"])
def test_a_training_goes_on_from_one_of_fewer_epochs_and_ends_with_the_bytes_of_one_that_did_not(tmp_path: Path, model: Mlp | Booster):
    whole = fit(job(tmp_path / "whole", model, epochs=4))
    shared = tmp_path / "shared"
    for epochs in (3, 1):
        fit(job(shared, model, epochs=epochs, checkpoints=f"alike/{epochs}", shorter="alike"))
    longer = fit(job(shared, model, epochs=4, checkpoints="alike/4", shorter="alike"))
    assert longer.resumed_from == "epoch 3 of 3"
    assert [e["epoch"] for e in longer.history] == [1, 2, 3, 4]
    assert longer.model == whole.model


def test_a_training_never_goes_on_from_more_epochs_than_its_own(tmp_path: Path):
    fit(job(tmp_path, QUICK, epochs=4, checkpoints="alike/4", shorter="alike"))
    shorter = fit(job(tmp_path, QUICK, epochs=2, checkpoints="alike/2", shorter="alike"))
    assert shorter.resumed_from is None
    assert len(shorter.history) == 2
