"""Saving, verifying, loading and predicting."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from raypipe.bundle.bundle import Bundle, farthest, load, load_path, save
from raypipe.bundle.files import digest
from raypipe.bundle.signature import Field, Signature
from raypipe.code.closure import closure
from raypipe.code.recorded import record
from raypipe.core.artifact import File, Model
from raypipe.core.errors import DataError, StoreError
from raypipe.core.store import Store
from raypipe.data.transform.chain import Chain, FittedChain
from raypipe.data.transform.function import Function
from raypipe.data.transform.imputing import Impute
from raypipe.data.transform.scaling import Standardize

NUM_ROWS = 500


def rows(seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    distance = rng.normal(1000, 300, NUM_ROWS)
    wind = pa.array(rng.normal(10, 4, NUM_ROWS), mask=rng.random(NUM_ROWS) < 0.1)
    return pa.table({"distance": distance, "wind": wind, "hour": pa.array(rng.integers(0, 24, NUM_ROWS), pa.int32())})


@pytest.fixture(scope="module")
def chain() -> FittedChain:
    entries = {"fill": Impute(columns=["wind"]), "scale": Standardize(columns=["distance", "wind"])}
    return Chain(entries).fit(rows().schema, lambda stage: [stage(rows())])


@pytest.fixture(scope="module")
def model_text(chain: FittedChain) -> bytes:
    import lightgbm as lgb

    from raypipe.bundle.matrix import matrix

    features_BF = matrix(chain.apply(rows()), chain.features.names)
    late = (features_BF[:, 0] > 0.3).astype(float)
    return lgb.train({"objective": "binary", "verbose": -1, "num_leaves": 7}, lgb.Dataset(features_BF, late), 5).model_to_string().encode()


@pytest.fixture
def saved(tmp_path: Path, chain: FittedChain, model_text: bytes) -> tuple[Store, Model]:
    store = Store.open(tmp_path / "store")
    return store, artifact(write(store, chain, model_text))


def write(store: Store, chain: FittedChain, model_text: bytes, **changed) -> tuple[File, ...]:
    inputs = tuple(Field(f.name, str(f.type)) for f in chain.inputs)
    settings = {
        "format": "lightgbm",
        "model_bytes": model_text,
        "chain_json": chain.to_json(),
        "code": None,
        "signature": Signature(inputs, tuple(chain.features.names), "late", ("on time", "late"), "true"),
        "threshold": 0.5,
        "lineage": {"run": "r1"},
        "examples": rows().slice(0, 8),
    }
    return save(store, "models/m", **{**settings, **changed})


def artifact(files: tuple[File, ...]) -> Model:
    return Model("a1", "flights", "train", "r1", "f", digest(files), "models/m", files)


def test_a_loaded_bundle_predicts_classes_and_probabilities(saved):
    bundle = load(*saved)
    answers = bundle.predict(rows(1))
    assert answers.schema == pa.schema([("prediction", pa.string()), ("probability", pa.float64())])
    late = answers["probability"].to_numpy() >= 0.5
    assert answers["prediction"].to_pylist() == ["late" if x else "on time" for x in late]
    assert 0 < late.mean() < 1
    assert bundle.digest == saved[1].digest
    assert bundle.lineage == {"run": "r1"}


def test_a_row_alone_is_answered_as_in_a_batch(saved):
    bundle = load(*saved)
    batch = bundle.predict(rows(2))
    alone = pa.concat_tables([bundle.predict(rows(2).slice(i, 1)) for i in range(100)])
    assert batch.slice(0, 100).equals(alone)
    assert bundle.predict(rows(2).slice(0, 0)).num_rows == 0


def test_the_examples_carry_the_answers_that_the_bundle_gives(saved):
    bundle = load(*saved)
    examples, answers = bundle.examples()
    assert examples.equals(rows().slice(0, 8))
    assert answers.equals(bundle.predict(examples))
    bundle.verify()


def test_a_model_that_answers_its_examples_differently_is_refused(saved, tmp_path: Path):
    folder = tmp_path / "store" / "models" / "m"
    table = pa.ipc.open_file(folder / "sample.arrow").read_all()
    changed = pa.array(np.asarray(table["raypipe.probability"]) * 1.01)
    with pa.ipc.new_file(folder / "sample.arrow", table.schema) as writer:
        writer.write_table(table.set_column(table.num_columns - 1, "raypipe.probability", changed))
    with pytest.raises(StoreError, match=r"differ from the recorded ones by 9.9e-03 \(relative; 1e-05 is allowed\)"):
        load(saved[0], artifact(tuple(saved[0].adopt(f.path) for f in saved[1].files))).verify()


@pytest.mark.parametrize("name", ["model.txt", "transform.json", "signature.json", "sample.arrow", "bundle.json"])
def test_a_changed_byte_in_any_file_is_refused_by_name(saved, tmp_path: Path, name: str):
    path = tmp_path / "store" / "models" / "m" / name
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=name):
        load(*saved)


def test_two_trainings_of_the_same_model_have_one_digest_whatever_run_they_come_from(tmp_path: Path, chain: FittedChain, model_text: bytes):
    first, second, other = (Store.open(tmp_path / name) for name in ("a", "b", "c"))
    assert digest(write(first, chain, model_text)) == digest(write(second, chain, model_text, lineage={"run": "r2"}))
    assert digest(write(first, chain, model_text)) != digest(write(other, chain, model_text, threshold=0.6))


def test_columns_are_cast_where_nothing_is_lost_and_named_where_something_would_be(saved):
    bundle = load(*saved)
    table = rows(1).append_column("more", pa.nulls(NUM_ROWS))
    wide = table.set_column(2, "hour", table["hour"].cast(pa.int64())).select(["more", "wind", "hour", "distance"])
    assert bundle.predict(wide).equals(bundle.predict(rows(1)))
    with pytest.raises(DataError, match="column 'hour' is double, the model reads int32"):
        bundle.predict(table.set_column(2, "hour", pa.array(np.arange(NUM_ROWS) + 0.5)))
    with pytest.raises(DataError, match=r"the model reads 'wind': no such column\. Did you mean 'wnd'\?"):
        bundle.predict(rows(1).rename_columns(["distance", "wnd", "hour"]))


def test_a_folder_is_loaded_by_its_own_digests(saved, tmp_path: Path):
    folder = tmp_path / "store" / "models" / "m"
    assert load_path(folder).predict(rows(1)).equals(load(*saved).predict(rows(1)))
    assert "import" not in (folder / "bundle.json").read_text()


def test_formats_that_are_not_run_here_are_refused_by_name(saved, tmp_path: Path, chain: FittedChain, model_text: bytes):
    folder = tmp_path / "store" / "models" / "m"
    about = json.loads((folder / "bundle.json").read_text())
    for change, message in [
        ({"format": "code"}, "format 'code' is not run"),
        ({"format": "gguf"}, "format 'gguf'"),
        ({"bundle": 2}, "of version 2"),
    ]:
        (folder / "bundle.json").write_text(json.dumps({**about, **change}))
        with pytest.raises(DataError, match=message):
            load_path(folder)
    with pytest.raises(DataError, match="format 'code' is not run"):
        write(saved[0], chain, model_text, format="code")


def test_positive_labels_are_those_of_the_signature(saved):
    bundle = load(*saved)
    assert bundle.is_positive(pa.chunked_array([[True, None], [False, True]])).tolist() == [True, False, False, True]


def test_functions_run_from_the_bundle_not_from_the_working_tree(tmp_path: Path, model_text: bytes):
    module = tmp_path / "delays.py"
    module.write_text(
        "def scaled(rows):\n    return rows.set_column(0, 'distance', [[v / 300 - 3.3 for v in rows['distance'].to_pylist()]])\n"
    )
    found = closure("delays.scaled", [tmp_path])
    assert found is not None
    recorded = record(found)
    bundle = _with_function(tmp_path, model_text, recorded)
    before = bundle.predict(rows(1).slice(0, 20))
    module.write_text("def scaled(rows):\n    raise ValueError('edited')\n")
    folder = tmp_path / "store" / "models" / "m"
    with pytest.raises(DataError, match=r"holds code \(delays.scaled\).*give trust="):
        load_path(folder)
    assert load_path(folder, trust=bundle.digest).predict(rows(1).slice(0, 20)).equals(before)


def _with_function(tmp_path: Path, model_text: bytes, recorded: dict) -> Bundle:
    from raypipe.code.recorded import load as load_code

    entries = {"fill": Impute(columns=["wind"]), "own": Function("delays.scaled", function=load_code(recorded))}
    chain = Chain(entries).fit(rows().schema, lambda stage: [stage(rows())])
    store = Store.open(tmp_path / "store")
    return load(store, artifact(write(store, chain, model_text, code={"delays.scaled": recorded})))


def test_the_farthest_answers():
    assert farthest(np.array([0.5, 0.2]), np.array([0.5, 0.1])) == pytest.approx(0.5)
    assert farthest(np.array([1e-12]), np.array([0.0])) == pytest.approx(1e-5)
    assert farthest(np.array([]), np.array([])) == 0.0
