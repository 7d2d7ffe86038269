"""A small real bundle in a store, as the desired state of an endpoint, and the endpoint's application around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from starlette.applications import Starlette

from raypipe import Impute, Standardize
from raypipe.bundle.bundle import save
from raypipe.bundle.files import digest
from raypipe.bundle.signature import Field, Signature
from raypipe.core.artifact import Model
from raypipe.core.store import Store
from raypipe.data.transform.chain import Chain
from raypipe.data.types import type_name
from raypipe.serve.desired import Desired
from raypipe.serve.endpoint import application
from raypipe.serve.live import Live
from raypipe.serve.served import load_served

NULLABLE = {"wind"}

Write = Callable[..., Desired]


def flights(num_rows: int = 400, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    wind = pa.array(rng.normal(10, 4, num_rows), mask=rng.random(num_rows) < 0.1)
    hour = pa.array(rng.integers(0, 24, num_rows), pa.int32())
    return pa.table({"distance": rng.normal(1000, 300, num_rows), "wind": wind, "hour": hour})


def write_version(root: Path, version: int, **settings) -> Desired:
    """A LightGBM bundle whose answers depend on the version's number, in the store at `root`."""
    import lightgbm as lgb

    from raypipe.bundle.matrix import matrix

    rows = flights()
    entries = {"fill": Impute(columns=["wind"]), "scale": Standardize(columns=["distance", "wind"])}
    chain = Chain(entries).fit(rows.schema, lambda stage: [stage(rows)])
    features_BF = matrix(chain.apply(rows), chain.features.names)
    late = (features_BF[:, 0] + version > 1.3).astype(float)
    params = {"objective": "binary", "verbose": -1, "num_leaves": 7, "num_threads": 1}
    text = lgb.train(params, lgb.Dataset(features_BF, late), 3 + version).model_to_string()
    inputs = tuple(Field(f.name, type_name(f.type), f.name in NULLABLE) for f in chain.inputs)
    signature = Signature(inputs, tuple(chain.features.names), "late", ("false", "true"))
    files = save(
        Store.open(root),
        f"models/{version}",
        format="lightgbm",
        model_bytes=text.encode(),
        chain_json=chain.to_json(),
        code=None,
        signature=signature,
        threshold=0.4,
        lineage={"run": f"run-{version}", "snapshot": 12},
        examples=rows.slice(0, 8),
    )
    model = Model(f"a{version}", "flights", "train", f"run-{version}", f"f{version}", digest(files), f"models/{version}", files)
    return Desired("flights", version, str(root), model, **settings)


@pytest.fixture(scope="session")
def desired(tmp_path_factory: pytest.TempPathFactory) -> Desired:
    return write_version(tmp_path_factory.mktemp("serve") / "store", 1)


@pytest.fixture
def live(desired: Desired) -> Live:
    return Live(load_served(desired))


@pytest.fixture
def app(live: Live) -> Starlette:
    return application(live)
