"""Both sorts give what NumPy's does, whichever is the faster here."""

from __future__ import annotations

import numpy as np
import pytest

from raypipe.data import ascending as module
from raypipe.data.ascending import MANY, ascending, starts_of

CHANCE = np.random.default_rng(7)
WIDE = CHANCE.integers(-(2**62), 2**62, MANY + 5)
FLOATS = CHANCE.normal(size=MANY + 5) * 10.0 ** CHANCE.integers(-300, 300, MANY + 5)


def with_odd_ones(values: np.ndarray) -> np.ndarray:
    odd = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, np.finfo(values.dtype).max, np.finfo(values.dtype).min]
    values = values.copy()
    values[CHANCE.choice(len(values), 300, replace=False)] = np.resize(np.array(odd).astype(values.dtype), 300)
    return values


MANY_VALUES = {
    "int64": np.append(WIDE, [np.iinfo(np.int64).min, np.iinfo(np.int64).max]),
    "uint64": np.append(WIDE.astype(np.uint64) * np.uint64(3), [np.uint64(2**64 - 1), np.uint64(0)]),
    "int32": WIDE.astype(np.int32),
    "uint32": WIDE.astype(np.uint32),
    "int16": WIDE.astype(np.int16),
    "float64": FLOATS,
    "odd": with_odd_ones(FLOATS),
    "narrow": with_odd_ones(CHANCE.normal(size=MANY).astype(np.float32)),
    "missing": np.full(MANY, np.nan),
    "alike": np.full(MANY, -0.0),
    "falling": np.arange(MANY)[::-1],
    "rising": np.arange(MANY, dtype=np.float64),
    "repeats": CHANCE.integers(0, 9, MANY),
    "few": FLOATS[:100],
    "none": FLOATS[:0],
    "apart": WIDE[::2],
}


@pytest.mark.parametrize("slow", [False, True], ids=["numpy", "polars"])
@pytest.mark.parametrize("name", MANY_VALUES)
def test_it_is_numpy_s_order(name: str, slow: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "is_slow", lambda: slow)
    values = MANY_VALUES[name]
    before = values.copy()
    found = ascending(values)
    expected = np.sort(values)
    assert found.dtype == values.dtype
    assert np.array_equal(found, expected, equal_nan=values.dtype.kind == "f")
    assert np.array_equal(values.view(np.uint8), before.view(np.uint8)) if values.flags.contiguous else (values == before).all()
    if len(found):
        found[0] = found[0]  # it is the caller's own
        assert not np.shares_memory(found, values)


def test_where_another_value_begins():
    assert starts_of(np.array([1, 1, 2, 5, 5, 5])).tolist() == [0, 2, 3]
    assert starts_of(np.array([4.0])).tolist() == [0]


def test_which_is_faster_is_found_out():
    module.is_slow.cache_clear()
    assert module.is_slow() in (True, False)
