"""What parts of a split share, over fragments."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raypipe.core.store import Store
from raypipe.data import shared as page
from raypipe.data.fragment.fragment import write_fragment
from raypipe.data.shared import Sought, hashed, shared
from raypipe.data.split import rule

GIVEN = rule("given", column="part", parts={"gap": "none"})


def found(store, *tables, columns=("id",), nulls=False):
    parts = [write_fragment(store, f"t/{n}.parquet", table) for n, table in enumerate(tables)]
    return {(s.earlier, s.later): s for s in shared(Sought(store, GIVEN, tuple(columns), nulls), parts, inline=True)}


def rows(ids, part, **more):
    return pa.table({"id": ids, "part": part if isinstance(part, list) else [part] * len(ids), **more})


def test_keys_in_two_parts_are_counted_with_where_they_are(store):
    told = found(store, rows([1, 2, 2, 3], "train"), rows([2, 2, 9, 3], ["test", "test", "test", "validation"]), rows([2, 9], "gap"))
    one = told["train", "test"]
    assert (one.num_values, one.num_rows, one.of_rows) == (1, 2, 3)
    assert one.examples == [{"value": {"id": "2"}, "train": {"file": "t/0.parquet", "row": 2}, "test": {"file": "t/1.parquet", "row": 1}}]
    assert (told["train", "validation"].num_values, told["validation", "test"].num_values) == (1, 0)


def test_a_row_is_content_of_all_its_columns_nulls_too(store):
    train = rows([1, None, 3], "train", x=[0.0, math.nan, 1.0], s=["a", None, "b"], v=[[1, 2], None, [3]])
    test = rows([1, None, 3], "test", x=[-0.0, math.nan, 1.0], s=["a", None, "c"], v=[[1, 2], None, [3]])
    assert found(store, train, test, columns=("id", "x", "s", "v"), nulls=True)["train", "test"].num_rows == 2
    assert found(store, train, test, columns=("id",), nulls=False)["train", "test"].num_rows == 2


def test_ten_examples_and_long_values_shortened(store):
    ids = ["k" * 200 + str(n) for n in range(50)]
    one = found(store, rows(ids, "train"), rows(ids, "test"))["train", "test"]
    assert (one.num_values, len(one.examples)) == (50, 10)
    assert all(len(e["value"]["id"]) == 83 for e in one.examples)


ROWS = st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["train", "validation", "test", "gap"])), max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(ROWS, st.integers(1, 5), st.integers(1, 50))
def test_counts_are_those_of_sets_however_many_pieces_and_rounds(tmp_path_factory, values, pieces, most):
    store = Store.open(tmp_path_factory.mktemp("s"))
    table = pa.table({"id": pa.array([v for v, _ in values], pa.int64()), "part": pa.array([p for _, p in values], pa.string())})
    size = max(1, -(-len(values) // pieces))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "MOST_ROWS", most)
        told = found(store, *(table.slice(at, size) for at in range(0, max(1, len(values)), size)))
    for (a, b), one in told.items():
        ins, outs = ({v for v, p in values if p == part} for part in (a, b))
        assert one.num_values == len(ins & outs)
        assert one.num_rows == sum(p == b and v in ins for v, p in values)
        assert {int(e["value"]["id"]) for e in one.examples} <= ins & outs
        assert len(one.examples) == min(10, len(ins & outs))


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, None, 1],
        [0.5, math.nan, None, 0.5],
        ["a", "b", None, "a"],
        [b"\xff", b"b", None, b"\xff"],
        [[1], [2], None, [1]],
        [True, False, None, True],
    ],
    ids=str,
)
def test_equal_values_have_equal_hashes(values):
    hashes = hashed(pa.chunked_array([values[:2], values[2:]], pa.array(values).type))
    assert hashes[0] == hashes[3]
    assert len(np.unique(hashes)) == 3


def test_ray_tasks_find_the_same(store, ray_cluster):
    tables = [rows(list(range(n, n + 90)), ["train", "test", "validation"] * 30) for n in (0, 40, 80)]
    parts = [write_fragment(store, f"t/{n}.parquet", table) for n, table in enumerate(tables)]
    sought = Sought(store, GIVEN, ("id",), False)
    assert shared(sought, parts, inline=False) == shared(sought, parts, inline=True)
