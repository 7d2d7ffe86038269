"""Damaged page headers, which no checksum covers: each is told with the file's name, or gives the same rows, and none ends the process."""

import subprocess
import sys
from pathlib import Path

FLIPS = 800
READ = """
import random, sys
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from raypipe.core.errors import RaypipeError
from raypipe.core.store import Store
from raypipe.data.fragment.fragment import read_fragment, write_fragment

draw, N = np.random.default_rng(0), 3_000
rows = pa.table({
    "i": draw.integers(0, 1000, N), "x": draw.random(N), "s": [f"t{k % 50}" for k in range(N)], "u": [f"text {k}" for k in range(N)],
    "l": [[k] * (k % 4) for k in range(N)], "n": [None if k % 3 else k for k in range(N)], "b": draw.random(N) > 0.5,
    "m": pa.array([[(str(k), [k])] * (k % 3) for k in range(N)], pa.map_(pa.string(), pa.list_(pa.int64()))),
})
store = Store.open(sys.argv[1])
fragment = write_fragment(store, "a.parquet", rows)
good, at = store.read("a.parquet"), []
group = pq.read_metadata(pa.BufferReader(good)).row_group(0)
for column in map(group.column, range(group.num_columns)):
    at += [p + k for p in (column.dictionary_page_offset, column.data_page_offset) if p for k in range(60)]
some, told, same = random.Random(7), 0, 0
for _ in range(int(sys.argv[2])):
    bad = bytearray(good)
    bad[some.choice(at)] ^= 1 << some.randrange(8)
    store.local("a.parquet").write_bytes(bad)
    try:
        assert read_fragment(store, fragment).equals(rows)
        same += 1
    except RaypipeError as error:
        assert "a.parquet: " in str(error), error
        told += 1
print(told, same)
"""


def test_every_one_is_told_or_of_no_account(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", READ, str(tmp_path), str(FLIPS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told, same = map(int, done.stdout.split())
    assert (told + same, told > same) == (FLIPS, True)
