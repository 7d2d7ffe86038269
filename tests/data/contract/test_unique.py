"""Values that may not come twice, over all fragments of a table, by ranges of their keys."""

import pyarrow as pa
import pytest

from raypipe.core.step import Work
from raypipe.data.contract import unique
from raypipe.data.contract.contract import Column, Contract
from raypipe.data.contract.findings import words
from raypipe.data.contract.origin import OfTable
from raypipe.data.contract.unique import Known, repeated
from raypipe.data.fragment.fragment import read_row_groups, write_fragment


@pytest.fixture
def find(store, ledger, tmp_path):
    work = Work(ledger.project, tmp_path, "p", "s", ledger, store, path="attempt", inline=True)

    def found(contract, *parts, names=True):
        fragments = [write_fragment(store, f"t/{n}.parquet", pa.table(part)) for n, part in enumerate(parts)]
        origins = [OfTable(store, f, f"{n}.csv" if names else None) for n, f in enumerate(fragments)]
        (finding,) = repeated(work, contract, origins, sum(f.num_rows for f in fragments))
        return finding

    return found


ONE = Contract({"id": Column("string", unique=True)})


def test_a_value_in_two_files_is_told_with_the_second(find):
    finding = find(ONE, {"id": ["a", "b", None]}, {"id": ["c", "b", None, "b"]})
    assert words(finding) == "column 'id': 2 of 7 rows with a value that came before (first: 1.csv: 'b')"


def test_in_the_table_itself_the_row_is_told(find):
    finding = find(ONE, {"id": ["a", "b"]}, {"id": ["c", None, "b"]}, names=False)
    assert finding["examples"] == [{"file": "t/1.parquet", "row": 3, "value": "'b'"}]


def test_sets_of_columns_count_together_and_rows_that_lack_a_value_do_not(find):
    contract = Contract({"c": Column("string"), "n": Column("int64")}, unique=[["c", "n"]])
    finding = find(contract, {"c": ["a", "a", None], "n": [1, 2, 1]}, {"c": ["b", "a", None], "n": [1, 2, 1]})
    assert words(finding) == "columns 'c', 'n': 1 of 6 rows with values that came before (first: 1.csv: 'a', 2)"
    assert find(contract, {"c": ["ab", "a"], "n": [1, 11]}, {"c": ["b", "a"], "n": [1, 1]})["figure"] == 0


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, 2, 2**62]),
        pa.array(["1", "2"]),
        pa.array([0.5, -0.5]),
        pa.array([1, 2], pa.timestamp("us")),
        pa.array([1, 2], pa.date32()),
        pa.array([b"1", b"2"]),
        pa.array(["1", "2"]).dictionary_encode(),
    ],
    ids=lambda values: str(values.type),
)
def test_values_that_come_once_are_let_be(find, values):
    assert find(ONE, *({"id": part} for part in (values.slice(0, 1), values.slice(1), pa.nulls(3, values.type))))["figure"] == 0
    assert find(ONE, {"id": values}, {"id": values})["figure"] == len(values)


def test_many_ranges_find_what_one_finds(find, monkeypatch):
    parts = [{"id": [f"k{n % 900}" for n in range(start, start + 500)]} for start in (0, 500)]
    whole = find(ONE, *parts)
    monkeypatch.setattr(unique, "RANGE_ROWS", 7)
    assert (find(ONE, *parts), whole["figure"]) == (whole, 100)


def test_more_repeats_than_are_proved_are_counted_by_their_keys(find, monkeypatch):
    monkeypatch.setattr(unique, "MOST_SUSPECTS", 3)
    finding = find(ONE, {"id": ["a"] * 50 + ["b"] * 50}, {"id": list("cdefgh") * 2})
    assert finding["figure"] == 98 + 6
    assert finding["examples"][0] == {"file": "0.csv", "row": None, "value": "'a'"}


def test_two_values_of_one_key_are_no_repeat(find, monkeypatch):
    import numpy as np

    monkeypatch.setattr("raypipe.data.statistics.hashes.bytes_hashes", lambda values: np.full(len(values), 7, np.uint64))
    assert find(ONE, {"id": ["a", "b"]}, {"id": ["c"]})["figure"] == 0


@pytest.fixture
def grow(store, ledger, tmp_path, monkeypatch):
    """Fragments whose values come once, and new ones: the finding, and which files were read for it."""
    work = Work(ledger.project, tmp_path, "p", "s", ledger, store, path="attempt", inline=True)

    def found(there, *new, contract=ONE, forget=()):
        fragments = [write_fragment(store, f"t/{n}.parquet", pa.table({"id": part})) for n, part in enumerate([*there, *new])]
        origins = [OfTable(store, f) for f in fragments]
        repeated(work, contract, origins[: len(there)], sum(map(len, there)), Known(0, frozenset()))
        for path, text in forget:
            (tmp_path / "store" / path).write_bytes(text)
        read = []
        for module in ("keys_kept", "origin"):
            real = read_row_groups
            monkeypatch.setattr(
                f"raypipe.data.contract.{module}.read_row_groups", lambda s, f, c, r=real: read.append(f.path) or r(s, f, c)
            )
        known = Known(len(there), frozenset({"id"}))
        (finding,) = repeated(work, contract, origins, sum(map(len, [*there, *new])), known)
        return finding, sorted(set(read))

    return found


NUMBERS = Contract({"id": Column("int64", unique=True)})


@pytest.mark.parametrize(
    ("new", "figure", "read"),
    [
        ([["x", "y"]], 0, ["t/2.parquet"]),
        ([["x", "b", None]], 1, ["t/0.parquet", "t/2.parquet"]),
        ([["x", "x", "e"], ["x", "b"]], 4, ["t/0.parquet", "t/1.parquet", "t/2.parquet", "t/3.parquet"]),
        ([[None, None]], 0, ["t/2.parquet"]),
    ],
)
def test_what_was_judged_before_is_read_again_only_where_a_value_comes_again(grow, find, new, figure, read):
    there = [["a", "b", None], ["d", "e"]]
    finding, files = grow(there, *(pa.array(part, pa.string()) for part in new))
    assert (finding["figure"], files) == (figure, read)
    whole = find(ONE, *({"id": pa.array(part, pa.string())} for part in [*there, *new]), names=False)
    assert finding == whole


def test_keys_that_are_damaged_or_of_other_rows_are_computed_anew(grow):
    there = [[1, 2, 3], [4, 5, 6]]
    finding, files = grow(there, [3, 6], contract=NUMBERS, forget=[("t/0.keys", b"no keys"), ("t/1.keys", b"")])
    assert (finding["figure"], files) == (2, ["t/0.parquet", "t/1.parquet", "t/2.parquet"])


def test_fragments_whose_bounds_meet_no_new_one_are_not_asked(grow, tmp_path):
    finding, files = grow([[1, 2, 3], [7, 8, 9]], [4, 5, 6], contract=NUMBERS, forget=[("t/0.keys", b""), ("t/1.keys", b"")])
    assert (finding["figure"], files) == (0, ["t/2.parquet"])


def test_no_keys_are_left_behind(find, store):
    find(ONE, {"id": ["a"]})
    assert [path for path, _, _ in store.files()] == ["t/0.parquet"]


def test_a_contract_without_unique_columns_reads_nothing(store, ledger, tmp_path):
    work = Work(ledger.project, tmp_path, "p", "s", ledger, store)
    assert repeated(work, Contract({"id": Column("string")}), [], 0) == []
