"""Tables that come one after another, written as fragments."""

import pyarrow as pa
import pytest

from raypipe.core.store import Store
from raypipe.data.fragment.fragment import read_fragment
from raypipe.data.function import whole
from raypipe.data.function.fault import FunctionError
from raypipe.data.function.whole import write_stream


def test_pieces_fill_fragments_in_order(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(whole, "FRAGMENT_ROWS", 4)
    pieces = list(write_stream(store, "t", "function m.f", (pa.table({"n": [i] * 3}) for i in range(4))))
    assert [piece.fragment.num_rows for piece in pieces if piece.fragment] == [4, 4, 4]
    rows = pa.concat_tables([read_fragment(store, piece.fragment) for piece in pieces if piece.fragment])
    assert rows["n"].to_pylist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert pieces[1].name == "rows 5 to 8 of what it gave"


def test_a_table_of_no_rows_is_a_table(store: Store):
    (piece,) = write_stream(store, "t", "function m.f", iter([pa.table({"n": pa.array([], pa.int8())})]))
    assert piece.fragment is not None
    assert (piece.fragment.num_rows, piece.schema) == (0, pa.schema([("n", pa.int8())]))


def test_no_table_is_none(store: Store):
    with pytest.raises(FunctionError, match=r"function m\.f gave no table at all"):
        list(write_stream(store, "t", "function m.f", iter([])))
