"""The mean of the label in the place of a category, without telling a row its own."""

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.transform.chain import Chain
from raypipe.data.transform.target import TargetEncode


def learn(entry, *parts, label="y"):
    schema = pa.schema([f for f in parts[0].schema if f.name != "y"])
    return Chain({"e": entry}, label).fit(schema, lambda stage: [stage(part) for part in parts])


def test_means_are_drawn_towards_that_of_all():
    rows = pa.table({"c": ["a", "a", "b", None, "a"], "y": [1.0, 0.0, 1.0, 1.0, None]})
    chain = learn(TargetEncode(["c"], smoothing=2.0), rows)
    assert chain.inputs.names == ["c"]
    found = chain.apply(pa.table({"c": ["a", "b", "new", None]}))["c"]
    assert found.type == pa.float32()
    np.testing.assert_allclose(found.to_numpy(), [(1 + 2 * 0.75) / 4, (1 + 2 * 0.75) / 3, 0.75, 0.75], rtol=1e-7)
    assert chain.notes() == ["e: without key the label of a training row is part of its own feature: give key, or keep smoothing large"]


def test_a_row_s_own_label_changes_nothing_of_its_feature():
    ids = list(range(200))
    rows = pa.table({"id": ids, "c": [("a", "b", "c")[i % 3] for i in ids], "y": [float(i * i % 7) for i in ids]})
    entry = TargetEncode(["c"], ["id"], smoothing=1.0)
    chain = learn(entry, rows)
    for row in (0, 57, 199):
        other = [value + (1000.0 if i == row else 0.0) for i, value in enumerate(rows["y"].to_pylist())]
        changed = learn(entry, rows.set_column(2, "y", pa.array(other)))
        assert changed.apply(rows)["c"][row] == chain.apply(rows)["c"][row]
        assert not changed.apply(rows)["c"].equals(chain.apply(rows)["c"])


def test_noise_is_not_taken_for_signal():
    # Categories of two rows and a label of pure chance: with its own label in it, the feature alone would give a correlation of 0.7.
    rng = np.random.default_rng(2)
    rows = pa.table({"id": np.arange(4000), "c": rng.permutation(np.arange(4000) // 2), "y": rng.integers(0, 2, 4000).astype(bool)})

    def correlation(entry):
        found = learn(entry, rows).apply(rows)["c"].to_numpy()
        return abs(np.corrcoef(found, rows["y"].to_numpy())[0, 1])

    assert correlation(TargetEncode(["c"], smoothing=0.1)) > 0.6
    assert correlation(TargetEncode(["c"], ["id"], smoothing=0.1)) < 0.1


def test_fragments_merge_to_the_fit_of_the_whole():
    rows = pa.table({"id": range(60), "c": [str(i % 5) for i in range(60)], "y": [i % 2 == 0 for i in range(60)]})
    entry = TargetEncode(["c"], ["id"], 3)
    assert learn(entry, rows.slice(0, 13), rows.slice(13)).fitted == learn(entry, rows).fitted


@pytest.mark.parametrize(
    ("entry", "label", "values", "text"),
    [
        (TargetEncode(["c"]), None, [1, 0], "it learns from the label, and there is none"),
        (TargetEncode(["c"]), "y", ["yes", "no"], "the label is string, its mean needs a number or bool"),
        (TargetEncode(["c"]), "y", [None, float("nan")], "no row has a label in the training part"),
        (TargetEncode(["c"]), "y", [1.0, float("inf")], "the label has infinite values"),
        (TargetEncode(["c"], ["c"]), "y", [1, 0], "key names only columns that are encoded"),
        (TargetEncode(["c"], ["id"]), "y", [1, 0], "no column 'id'"),
        (TargetEncode(["c"], ["k"]), "y", [1, 0], r"all rows with a label have one fold by key \['k'\]"),
        (TargetEncode(["c"], ["k"], 1), "y", [1, 0], "folds is 1, expected 2 to 100"),
        (TargetEncode(["c"], smoothing=-1), "y", [1, 0], "smoothing is -1, expected a finite number, 0 or more"),
        (TargetEncode(["l"]), "y", [1, 0], "column 'l' is list<int64>, expected string, integer or bool"),
        (TargetEncode(["c"], ["l"]), "y", [1, 0], "column 'l' is list<int64>, expected string, number, bool or time"),
    ],
)
def test_what_cannot_be_encoded_is_refused(entry, label, values, text):
    rows = pa.table({"c": ["a", "b"], "k": [1, 1], "l": [[1], [2]], "y": values})
    with pytest.raises(DataError, match=f"transform.e: {text}"):
        learn(entry, rows, label=label)
