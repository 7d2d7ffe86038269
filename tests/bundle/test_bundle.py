"""Saving, verifying, loading and predicting."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from raypipe.bundle.bundle import load, save
from raypipe.bundle.files import digest
from raypipe.bundle.signature import Field, Signature
from raypipe.core.artifact import File, Model
from raypipe.core.store import Store
from raypipe.data.chain import Chain, FittedChain
from raypipe.data.fitted import Impute, Standardize

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
