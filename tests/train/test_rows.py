"""Which rows belong to which part, and how they become numbers."""

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.store import Store
from raypipe.data.fragment.fragment import Fragment, write_fragment
from raypipe.data.split import part_of, rule
from raypipe.train.rows import Part, survey

NUM_ROWS = 300_000
BY_KEY = rule("hash", key="key", validation=0.2, test=0.1)


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    number = np.arange(NUM_ROWS, dtype=np.float64)
    wind = pa.array(number / 7, mask=number % 50_000 == 3)
    late = pa.array(np.where(number % 4 == 0, "yes", "no")).dictionary_encode()
    return pa.table({"number": number, "wind": wind, "late": late, "key": pa.array((number // 10).astype(np.int64))})


@pytest.fixture(scope="module")
def written(rows: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[Fragment]]:
    """Two fragments, the first of more than one row group."""
    store = Store.open(tmp_path_factory.mktemp("store"))
    return store, [write_fragment(store, "a", rows.slice(0, 200_000)), write_fragment(store, "b", rows.slice(200_000))]


def part(written: tuple[Store, list[Fragment]], name: str, *features: str) -> Part:
    found = survey(*written, BY_KEY, "late")
    return Part(name, written[0], tuple(found.groups[name]), features, "late", "yes", True)


@pytest.mark.parametrize("name", ["train", "validation"])
def test_a_part_has_the_rows_that_the_rule_gives_it_in_order(rows: pa.Table, written: tuple[Store, list[Fragment]], name: str):
    number = np.asarray(rows["number"])[np.array(part_of(BY_KEY, rows).to_pylist()) == name]
    made = part(written, name, "number", "wind")
    features_BF, label_B = made.load()
    assert len(made.groups) == 3
    assert features_BF.shape == (made.num_rows, 2)
    assert np.array_equal(features_BF[:, 0], number)
    assert np.array_equal(label_B, number % 4 == 0)
    assert np.array_equal(np.isnan(features_BF[:, 1]), number % 50_000 == 3)


def test_some_groups_of_a_part_are_a_part(written: tuple[Store, list[Fragment]]):
    whole = part(written, "train", "number")
    pieces = [whole.only(groups).load()[0] for groups in ([0, 1], [2])]
    assert np.array_equal(np.concatenate(pieces), whole.load()[0])


def test_the_survey_counts_what_is_missing_in_the_parts_that_train(rows: pa.Table, written: tuple[Store, list[Fragment]]):
    parts = np.array(part_of(BY_KEY, rows).to_pylist())
    found = survey(*written, BY_KEY, "late", ["number", "wind"])
    assert found.missing == {"wind": int((parts[3::50_000] != "test").sum())}
    assert found.null_labels == {"train": 0, "validation": 0}
    assert all(sorted(map(str, values)) == ["no", "yes"] for values in found.values.values())
