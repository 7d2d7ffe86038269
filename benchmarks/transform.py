"""A fitted chain over 500,000 rows of 12 columns, CPU seconds over those of plain NumPy that makes the same columns by hand; and over one
row of 20 columns, as a request has it, in CPU time."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from claim import Claim, interleaved, main, ratio, spread

from raypipe.data.transform.bounding import Clip, QuantileBins
from raypipe.data.transform.chain import Chain, FittedChain
from raypipe.data.transform.encoding import Frequency, OneHot, Ordinal
from raypipe.data.transform.imputing import Impute
from raypipe.data.transform.scaling import Standardize

NUMBERS = [f"x{i}" for i in range(10)]
CATEGORIES = ["carrier", "month"]
MIXED = {
    "fill": Impute(["x8", "x9", "x10", "n0"]),
    "clip": Clip(["x11", "x12"], quantiles=[0.01, 0.99]),
    "scale": Standardize([f"x{i}" for i in range(8, 18)] + ["n0", "n1", "n2"]),
    "hot": OneHot(["c0", "c1", "c2"]),
    "code": Ordinal(["c3"]),
    "share": Frequency(["c4"]),
    "bins": QuantileBins(["x18", "x19"]),
}


def measure(quick: bool) -> Iterator[Claim]:
    rows = table(50_000 if quick else 500_000)
    chain = Chain({"scale": Standardize(NUMBERS), "kinds": OneHot(CATEGORIES)}).fit(rows.schema, lambda stage: [stage(rows)])
    by_hand = plain(rows, chain)
    assert all(np.array_equal(column, chain.apply(rows)[name].to_numpy()) for name, column in by_hand.items())
    measures = {"chain": lambda: cpu_s(lambda: chain.apply(rows)), "NumPy": lambda: cpu_s(lambda: plain(rows, chain))}
    found = interleaved(5 if quick else 21, measures)
    yield Claim("standardise and one-hot over NumPy", ratio(found, "chain", "NumPy"), 1.3, detail=spread(found, "s"))
    yield from one_row(quick)


def one_row(quick: bool) -> Iterator[Claim]:
    """20 numbers standardised; and 20 columns filled, scaled, hot, ordinal, by their share, clipped and in bins."""
    rows = wide(1000)
    numbers = rows.select([name for name in rows.column_names if name.startswith("x")])
    chains = {
        "20 standardised": (numbers, {"scale": Standardize(numbers.column_names)}),
        "20 columns, 7 transforms": (rows.select(rows.column_names[8:]), MIXED),
    }
    calls = 200 if quick else 2000
    measures = {}
    for name, (table, entries) in chains.items():
        chain = Chain(entries).fit(table.schema, lambda stage, table=table: [stage(table)])
        measures[name] = lambda chain=chain, row=table.slice(17, 1): cpu_s(lambda: [chain.apply(row) for _ in range(calls)]) / calls * 1e3
    for name, found in interleaved(5 if quick else 15, measures).items():
        yield Claim(f"one row, {name}", statistics.median(found), 0.05, "ms", detail=spread({name: found}, "ms"))


def table(num_rows: int) -> pa.Table:
    rng = np.random.default_rng(0)
    numbers = {name: rng.normal(i, 3, num_rows) for i, name in enumerate(NUMBERS)}
    carriers = rng.choice(["AA", "UA", "DL", "B6", "EV", "MQ", "WN", "US"], num_rows)
    return pa.table({**numbers, "carrier": carriers, "month": rng.integers(1, 13, num_rows)})


def wide(num_rows: int) -> pa.Table:
    rng = np.random.default_rng(0)
    numbers = {f"x{i}": rng.normal(i, 3, num_rows) for i in range(20)}
    integers = {f"n{i}": rng.integers(0, 1000, num_rows) for i in range(3)}
    return pa.table({**numbers, **integers, **{f"c{i}": rng.choice(["AA", "UA", "DL"], num_rows) for i in range(5)}})


def plain(rows: pa.Table, chain: FittedChain) -> dict[str, np.ndarray]:
    """What a person would write for these columns alone, with the fit's own numbers."""
    made: dict[str, np.ndarray] = {}
    for name in NUMBERS:
        learnt = chain.fitted["scale"][name]
        made[name] = ((rows[name].to_numpy() - learnt["mean"]) / learnt["scale"]).astype(np.float32)
    for name in CATEGORIES:
        encoded: Any = rows[name].combine_chunks().dictionary_encode()
        values, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
        for category in sorted(values):
            made[f"{name}={category}"] = (codes == values.index(category)).view(np.uint8)
    return made


def cpu_s(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


if __name__ == "__main__":
    sys.exit(main(measure))
