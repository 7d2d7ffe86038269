"""A bundle: a trained model with its fitted transform, signature and lineage, as plain files that are verified before they are used."""

from __future__ import annotations

import io
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raypipe.bundle.files import BUNDLE, CODE, EXAMPLES, SIGNATURE, TRANSFORM, Contents, describe, parse, read_folder, read_store
from raypipe.bundle.matrix import matrix
from raypipe.bundle.scorer import DISTRIBUTIONS, MODEL_FILES, Scorer, check_format, open_scorer
from raypipe.bundle.signature import Signature
from raypipe.core.artifact import File, Json, Model
from raypipe.core.errors import DataError, StoreError, nearest

if TYPE_CHECKING:
    from raypipe.core.store import Store
    from raypipe.data.transform.chain import FittedChain

TOLERANCE = 1e-5
"""How far two answers to the same row may lie apart, relative to the larger: in a batch, alone, on another machine."""

ANSWERS = ("raypipe.prediction", "raypipe.probability")
"""The columns of the examples that hold the expected answers."""


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle. It answers from several threads at once, and does not pickle: a task loads its own."""

    signature: Signature
    threshold: float
    """A row is of the positive class from this probability on."""
    format: str
    """`onnx` or `lightgbm`."""
    digest: str
    """Of everything that shapes its answers; lineage is no part of it."""
    lineage: dict[str, Json]
    environment: dict[str, str]
    """Python's version and those of the distributions that wrote it."""
    chain: FittedChain = field(repr=False)
    _scorer: Scorer = field(repr=False)
    _examples: bytes = field(repr=False)

    @property
    def inputs(self) -> pa.Schema:
        """The columns that `transform` and `predict` need, with their exact types."""
        return self.chain.inputs

    def transform(self, rows: pa.Table) -> pa.Table:
        """The features, in the model's order. Further columns are ignored, types are cast where no value changes; else DataError."""
        return self.chain.apply(_conform(rows, self.inputs))

    def score(self, features: pa.Table) -> np.ndarray:
        """Probability of the positive class, float64 [rows]. DataError where the model has no answer to a row."""
        probability_B = self._scorer(matrix(features, self.signature.features))
        if not np.isfinite(probability_B).all():
            raise _no_answer(features, probability_B)
        return probability_B

    def is_positive(self, label: pa.ChunkedArray) -> np.ndarray:
        """bool [rows]: whether a value of the label's column is the positive class; a null is not."""
        return pc.fill_null(pc.equal(label.cast(pa.string()), self.signature.positive), False).to_numpy()  # type: ignore[attr-defined]

    def decide(self, probability_B: np.ndarray) -> pa.Array:
        """The class names of these probabilities, as strings."""
        negative, positive = self.signature.classes
        if len(probability_B) == 1:
            return pa.array([positive if probability_B[0] >= self.threshold else negative])
        return pa.array([negative, positive]).take(pa.array((probability_B >= self.threshold).view(np.int8)))

    def predict(self, rows: pa.Table) -> pa.Table:
        """Columns `prediction` (class name, string) and `probability` (of the positive class, float64), a row for each of `rows`."""
        probability_B = self.score(self.transform(rows))
        return pa.Table.from_arrays([self.decide(probability_B), pa.array(probability_B)], names=["prediction", "probability"])

    def examples(self) -> tuple[pa.Table, pa.Table]:
        """Sample rows, and the answers (`prediction`, `probability`) that this bundle gave to them when it was saved."""
        table = pa.ipc.open_file(self._examples).read_all()
        return table.drop_columns(list(ANSWERS)), table.select(list(ANSWERS)).rename_columns(["prediction", "probability"])

    def verify(self) -> None:
        """Predicts the examples; StoreError where an answer is not the recorded one within TOLERANCE."""
        rows, expected = self.examples()
        found = self.predict(rows)["probability"].to_numpy()
        apart = farthest(found, expected["probability"].to_numpy())
        if apart > TOLERANCE:
            raise StoreError(
                f"the model's answers to its own sample rows differ from the recorded ones by {apart:.1e} "
                f"(relative; {TOLERANCE:.0e} is allowed): it was written with {self.environment}."
            )


def save(
    store: Store,
    path: str,
    *,
    format: str,
    model_bytes: bytes,
    chain_json: Json,
    code: Mapping[str, Json] | None,
    signature: Signature,
    threshold: float,
    lineage: Json,
    examples: pa.Table,
) -> tuple[File, ...]:
    """Writes the bundle's files under `path`, relative to the store's root, each durable; the caller syncs the folder.

    `examples` are rows as they are before the transform: their answers are computed here, by the bundle as it will be loaded.
    `code` is what code.recorded keeps of the chain's functions, by import path; None where it calls none.
    `files.digest` of what is returned is the artifact's digest.
    """
    check_format(format)
    contents = {
        MODEL_FILES[format]: model_bytes,
        TRANSFORM: _dump(chain_json),
        SIGNATURE: _dump({**signature.to_json(), "threshold": float(threshold)}),
        **({CODE: _dump(dict(code))} if code else {}),
    }
    about = {"format": format, "lineage": lineage, "environment": environment(format)}
    contents[EXAMPLES] = _answered(_open(contents, {**about, "digest": ""}), examples)
    contents[BUNDLE] = describe(contents, about)
    return tuple(store.write(f"{path}/{name}", data) for name, data in contents.items())


def load(store: Store, model: Model) -> Bundle:
    """The bundle of an artifact. StoreError where a file is not what was recorded, DataError where it cannot be run here."""
    contents = read_store(store, model)
    return _open(contents, parse(contents[BUNDLE]))


def load_path(folder: str | Path, trust: str | None = None) -> Bundle:
    """A bundle that lies in a folder, verified against the digests in its own bundle.json.

    Where it holds code of somebody's functions that code runs only if `trust` is the bundle's digest: read it first.
    """
    contents = read_folder(Path(folder))
    about = parse(contents[BUNDLE])
    if CODE in contents and trust != about["digest"]:
        names = ", ".join(json.loads(contents[CODE]))
        raise DataError(f"{folder}: holds code ({names}). Read {CODE}, and if you trust it, give trust='{about['digest']}'.")
    return _open(contents, about)


def farthest(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest relative difference of two arrays of probabilities, those below 1e-7 taken relative to 1e-7; 0.0 where empty."""
    larger = np.maximum(np.maximum(np.abs(found), np.abs(expected)), 1e-7)
    return float((np.abs(found - expected) / larger).max(initial=0.0))


def environment(format: str) -> dict[str, str]:
    """The versions that shape what a bundle of this format answers."""
    from importlib.metadata import version

    return {"python": platform.python_version(), **{name: version(name) for name in ("numpy", "pyarrow", DISTRIBUTIONS[format])}}


def _open(contents: Contents, about: Json) -> Bundle:
    format_ = about["format"]
    check_format(format_)
    described = json.loads(contents[SIGNATURE])
    signature = Signature.from_json(described)
    chain = _chain(contents)
    if tuple(chain.features.names) != signature.features:
        raise DataError(f"{TRANSFORM} makes the features {chain.features.names}, but {SIGNATURE} names {list(signature.features)}.")
    return Bundle(
        signature=signature,
        threshold=described["threshold"],
        format=format_,
        digest=about["digest"],
        lineage=about["lineage"],
        environment=about["environment"],
        chain=chain,
        _scorer=open_scorer(format_, contents[MODEL_FILES[format_]], len(signature.features)),
        _examples=contents.get(EXAMPLES, b""),
    )


def _chain(contents: Contents) -> FittedChain:
    from raypipe.data.transform.chain import FittedChain

    return FittedChain.from_json(json.loads(contents[TRANSFORM]), _functions(contents))


def _functions(contents: Contents) -> dict[str, Any]:
    """The user's functions that the chain calls, by import path, built from their recorded source."""
    if CODE not in contents:
        return {}
    from raypipe.code.recorded import load as load_code

    return {target: load_code(recorded, target) for target, recorded in json.loads(contents[CODE]).items()}


def _conform(rows: pa.Table, inputs: pa.Schema) -> pa.Table:
    if rows.schema.equals(inputs):
        return rows
    found = rows.column_names
    missing = [name for name in inputs.names if name not in found]
    if missing:
        raise DataError(f"the model reads {', '.join(map(repr, missing))}: no such column.{nearest(missing[0], found)}")
    return pa.Table.from_arrays([_cast(rows.column(f.name), f) for f in inputs], schema=inputs)


def _cast(column: pa.ChunkedArray, wanted: pa.Field) -> pa.ChunkedArray:
    if column.type == wanted.type:
        return column
    try:
        return column.cast(wanted.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"column '{wanted.name}' is {column.type}, the model reads {wanted.type}: {error}") from None


def _no_answer(features: pa.Table, probability_B: np.ndarray) -> DataError:
    bad = np.flatnonzero(~np.isfinite(probability_B))
    features_BF = matrix(features.take(pa.array(bad)), features.column_names)
    names = [name for name, column in zip(features.column_names, features_BF.T, strict=True) if not np.isfinite(column).all()]
    return DataError(
        f"the model has no answer to {len(bad)} of {len(probability_B)} rows (the first is row {bad[0]}): "
        f"{', '.join(names) or 'its features'} missing or not finite. Add raypipe.Impute to the transform, or leave such rows out."
    )


def _answered(bundle: Bundle, rows: pa.Table) -> bytes:
    """The rows' inputs with the bundle's answers to them, as an Arrow file."""
    picked = _conform(rows, bundle.inputs)
    for name, column in zip(ANSWERS, bundle.predict(picked).columns, strict=True):
        picked = picked.append_column(name, column)
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, picked.schema) as writer:
        writer.write_table(picked)
    return sink.getvalue()


def _dump(value: Json) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()
