"""Stratified splits cut by rank: each value has its own share, exactly."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.core.errors import DataError
from raypipe.data.parts import hashes
from raypipe.data.split import columns, mask, part_of, rule
from raypipe.data.strata import cuts
from raypipe.data.tally import tally, tally_of

PLAIN = rule("stratified", within="y", key="id", validation=0.2, test=0.1)


def rows(**sizes):
    values = [value for value, n in sizes.items() for _ in range(n)]
    return pa.table({"id": np.arange(len(values)), "y": values})


def exact(table, the_rule=PLAIN, size=7):
    pieces = [table.slice(start, size) for start in range(0, table.num_rows, size)]
    return {**the_rule, "cuts": cuts(the_rule, lambda: iter(pieces))}


def half_up(x):
    return int(x + Fraction(1, 2))


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([(0.2, 0.1), (0.1, 0.85), (0.45, 0.5), (0.001, 0.001)]))
def test_each_value_has_its_share_to_the_nearest_row(a, b, shares):
    the_rule = rule("stratified", within="y", key="id", validation=shares[0], test=shares[1])
    table = rows(a=a, b=b)
    found = tally(exact(table, the_rule), table).strata
    for value, n in (("a", a), ("b", b)):
        last = min(half_up(n * Fraction(str(shares[1]))) + half_up(n * Fraction(str(shares[0]))), n - 1)
        test = min(half_up(n * Fraction(str(shares[1]))), last)
        assert found[value] == (n - last, last - test, test, 0)


def test_the_cuts_are_hashes_of_the_ranks():
    table = rows(a=100, b=10)
    ordered = np.sort(hashes(PLAIN, table.slice(0, 100)))
    assert exact(table)["cuts"]["a"] == [f"{ordered[10]:016x}", f"{ordered[30]:016x}"]


def test_neither_order_nor_pieces_matter():
    table = rows(a=500, b=33)
    shuffled = table.take(np.random.default_rng(0).permutation(533))
    assert exact(table) == exact(shuffled, size=200)
    assert rule("stratified", **{k: v for k, v in exact(table).items() if k != "by"}) == exact(table)


def test_equal_keys_of_a_value_stay_together():
    table = pa.table({"id": np.arange(400) // 4, "y": ["a"] * 400})
    the_rule = exact(table)
    by_key = dict(zip(table["id"].to_pylist(), part_of(the_rule, table).to_pylist(), strict=True))
    assert part_of(the_rule, table).to_pylist() == [by_key[key] for key in table["id"].to_pylist()]
    assert 36 <= tally(the_rule, table).parts[2] <= 40


def test_only_cuts_need_the_column_of_the_strata_later():
    assert (columns(PLAIN), columns(exact(rows(a=9, b=9)))) == (("id",), ("id", "y"))
    assert part_of(PLAIN, rows(a=9).select(["id"])) == part_of(PLAIN, rows(a=9))


def test_few_rows_move_when_data_grows():
    before, after = rows(a=10_000), rows(a=12_000)
    one, other = (mask(exact(t, size=20_000), before, "test").to_numpy(False) for t in (before, after))
    assert 0 < (one != other).sum() < 60
    assert mask(PLAIN, before, "test").to_numpy(False).tolist() == mask(PLAIN, after, "test").to_numpy(False)[:10_000].tolist()


def test_a_value_that_came_later_is_told():
    with pytest.raises(DataError, match="column 'y': 'c' in 3 rows: not there when the split was made"):
        part_of(exact(rows(a=50)), rows(a=50, c=3))


def test_shares_that_chance_made_far_off_are_told():
    lines = tally(PLAIN, rows(a=1000, b=20)).lines(PLAIN)
    assert lines[0].startswith("train ")
    assert all("rows are for" in line for line in lines[1:])
    assert tally(exact(rows(a=1000, b=20)), rows(a=1000, b=20)).lines(PLAIN)[1:] == []


def test_too_many_values_are_refused():
    table = pa.table({"id": np.arange(1001), "y": np.arange(1001)})
    with pytest.raises(DataError, match="column 'y' has more than 1,000 values"):
        tally_of(PLAIN, iter([table]))
