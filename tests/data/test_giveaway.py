"""Columns that alone give the label away: the AUC by hand, by scikit-learn, and over fragments."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.core.errors import DataError
from raypipe.data import giveaway as page
from raypipe.data.fragment.fragment import write_fragment
from raypipe.data.giveaway import Asked, area, giveaways
from raypipe.data.split import rule

RULE = rule("hash", key="row", validation=0.2, test=0.2)


def told(store, table, columns, label="y", pieces=3, **split) -> Any:
    table = table if "row" in table.column_names else table.append_column("row", pa.array(np.arange(table.num_rows)))
    size = -(-table.num_rows // pieces)
    parts = [write_fragment(store, f"t/{n}.parquet", table.slice(n * size, size)) for n in range(pieces)]
    return {g.column: g for g in giveaways(Asked(store, RULE, label, tuple(columns)), parts, inline=True)}


def roc_auc_score(label: Any, x: Any) -> float:
    from sklearn import metrics  # a second of imports, which no worker needs but the one that runs this file

    return metrics.roc_auc_score(label, x)


def test_the_area_by_hand():
    assert area(np.array([0, 1, 1]), np.array([2, 1, 0])) == (1 * 2 + 0.5 + 3) / 6
    assert area(np.array([0, 0]), np.array([1, 2])) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=50).filter(lambda v: len({y for _, y in v}) == 2))
def test_the_area_is_scikit_learns(values):
    x, y = np.array([v for v, _ in values]), np.array([v for _, v in values])
    counts = [np.bincount(x[y == c] + 3, minlength=7) for c in (True, False)]
    assert area(counts[0], counts[1]) == pytest.approx(roc_auc_score(y, x))


@pytest.mark.parametrize("kind", ["few", "many", "heavy tail"])
def test_by_order_is_scikit_learns_within_the_stated_error(store, kind):
    rng = np.random.default_rng(3)
    y = rng.random(30_000) < 0.2
    x = {"few": rng.integers(0, 50, 30_000), "many": rng.normal(size=30_000), "heavy tail": np.exp(9 * rng.normal(size=30_000))}[kind]
    x = x + y * (20 if kind == "few" else 1.0)
    one = told(store, pa.table({"x": x, "y": y}), ["x"])["x"]
    exact = roc_auc_score(y, x)
    assert abs(one.by_order - max(exact, 1 - exact)) <= one.error + 1e-12
    assert one.exact == (kind == "few")
    assert (one.error == 0) == (kind == "few")
    assert one.error < 2e-4
    assert one.auc == max(one.by_order, one.by_means)


def test_every_type_that_tells_the_label_is_found(store):
    y = np.arange(3000) % 3 == 0
    start = datetime(2020, 1, 1)
    table = pa.table(
        {
            "y": y,
            "copy": y,
            "time": pa.array(
                [start + timedelta(days=5000 * int(v), seconds=n) for n, v in enumerate(y.tolist())], pa.timestamp("us", "UTC")
            ),
            "price": pa.array([Decimal(int(v)) for v in y], pa.decimal128(10, 2)),
            "text": np.where(y, "gone", "here"),
            "category": pa.array(np.where(y, "b", "a")).dictionary_encode(),
            "holes": pa.array([None if v else 1.5 for v in y.tolist()], pa.float64()),
            "middle": np.where(y, 5.0, np.arange(3000) % 2 * 10.0),
            "noise": np.random.default_rng(0).normal(size=3000),
            "id": [f"customer {n}" for n in range(3000)],
        }
    )
    found = told(store, table, [name for name in table.column_names if name != "y"])
    assert {name for name, one in found.items() if one.auc > 0.99} == {"copy", "time", "price", "text", "category", "holes", "middle"}
    assert found["holes"].by_order is None
    assert found["middle"].by_means == 1
    assert abs(found["noise"].auc - 0.5) < 0.1
    assert found["id"].by_means == 0.5
    assert (found["text"].by_order, found["text"].exact) == (None, True)


def test_keys_that_do_not_come_again_tell_nothing_but_repeated_ones_do(store):
    n = 12_000
    users = np.arange(n) % 4_500
    table = pa.table({"y": users % 2 == 0, "once": [f"{i}" for i in range(n)], "user": [f"u{u}" for u in users]})
    found = told(store, table, ["once", "user"])
    assert abs(found["once"].auc - 0.5) < 0.05
    assert not found["user"].exact
    assert found["user"].auc > 0.8


def test_of_several_classes_the_one_that_is_told_best(store):
    y = np.array(["a", "b", "c"])[np.arange(900) % 3]
    one = told(store, pa.table({"y": y, "x": np.where(y == "b", 1, np.arange(900) % 2 * 2)}), ["x"])["x"]
    assert (one.positive, one.auc) == ("b", 1)


def test_rows_without_a_label_are_left_out_and_pieces_do_not_matter(store):
    y = pa.array([None if n % 7 == 0 else n % 2 == 0 for n in range(600)])
    table = pa.table({"y": y, "x": np.arange(600) % 5})
    assert told(store, table, ["x"], pieces=1) == told(store, table, ["x"], pieces=6)


def test_a_fragment_that_is_all_missing_is_no_trouble(store):
    y = np.arange(300) % 2 == 0
    table = pa.table({"y": y, "x": pa.array([None] * 150 + [1.0] * 150, pa.float64()), "none": pa.nulls(300, pa.string())})
    found = told(store, table, ["x", "none"], pieces=2)
    assert abs(found["x"].by_order - 0.5) < 1e-12
    assert found["none"].by_means == 0.5


def test_labels_that_are_no_classes_are_refused(store):
    with pytest.raises(DataError, match=r"label 'y' has 1 value, and columns .* has 2 to 20"):
        told(store, pa.table({"y": [1] * 30, "x": [1] * 30}), ["x"])
    with pytest.raises(DataError, match="label 'y' has more than 20 values"):
        told(store, pa.table({"y": np.arange(99.0), "x": [1] * 99}), ["x"])


def test_counts_are_added_up_piece_by_piece(store, monkeypatch):
    table = pa.table({"y": np.arange(400) % 2 == 0, "x": np.arange(400) % 7})
    whole = told(store, table, ["x"], pieces=40)
    monkeypatch.setattr(page, "STATE_BYTES", 1)
    assert told(store, table, ["x"], pieces=40) == whole


def test_many_pieces_of_many_values_stay_within_the_error(store, monkeypatch):
    rng = np.random.default_rng(5)
    y = rng.random(60_000) < 0.3
    table = pa.table({"y": y, "x": rng.standard_t(1, size=60_000) + y})
    monkeypatch.setattr(page, "STATE_BYTES", 1)
    one = told(store, table, ["x"], pieces=50)["x"]
    assert abs(one.by_order - roc_auc_score(y, table["x"].to_numpy())) <= one.error < 5e-4


def test_ray_tasks_count_the_same(store, ray_cluster):
    rng = np.random.default_rng(1)
    table = pa.table(
        {"y": rng.random(6000) < 0.3, "x": rng.normal(size=6000), "t": rng.choice(["a", "b"], 6000), "row": np.arange(6000) // 2}
    )
    parts = [write_fragment(store, f"t/{n}.parquet", table.slice(n * 2000, 2000)) for n in range(3)]
    asked = Asked(store, RULE, "y", ("x", "t"))
    assert giveaways(asked, parts, inline=False) == giveaways(asked, parts, inline=True)
