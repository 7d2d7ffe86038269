"""Each built-in entry over a column of each type: refused by name, or a row alone is the row in the batch, read back from JSON too."""

import json
import math
import re
import struct
from datetime import date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.transform.bounding import Clip, QuantileBins
from raypipe.data.transform.chain import Chain, FittedChain
from raypipe.data.transform.dates import CyclicDate
from raypipe.data.transform.derive import Derive
from raypipe.data.transform.encoding import Frequency, OneHot, Ordinal
from raypipe.data.transform.hashing import HashEncode, TextHash
from raypipe.data.transform.imputing import Impute
from raypipe.data.transform.scaling import RobustScale, Standardize
from raypipe.data.transform.scikit import ScikitLearn
from raypipe.data.transform.target import TargetEncode

X = ["x"]
ENTRIES = {
    "standardize": Standardize(X),
    "robust": RobustScale(X),
    "mean": Impute(X, "mean"),
    "median": Impute(X, "median"),
    "zero": Impute(X, "constant", 0),
    "text": Impute(X, "constant", "?"),
    "clip": Clip(X, 0.1, 50.7),
    "quantiles": Clip(X, quantiles=[0.1, 0.9]),
    "bins": QuantileBins(X, 3),
    "one_hot": OneHot(X),
    "ordinal": Ordinal(X),
    "frequency": Frequency(X),
    "target": TargetEncode(X, ["id"], 3),
    "target_by_it": TargetEncode(["g"], X, 3),
    "hash": HashEncode(X, 3),
    "bucket": HashEncode(X, 3, "bucket"),
    "words": TextHash(X, 3),
    "days": CyclicDate(X, ["weekday", "day_of_year"]),
    "hours": CyclicDate(X, ["hour"]),
    "there": CyclicDate(X, ["hour"], "Asia/Kolkata"),
    "min_max": ScikitLearn(X, "MinMaxScaler"),
    "max_abs": ScikitLearn(X, "MaxAbsScaler"),
    "power": ScikitLearn(X, "PowerTransformer"),
    "quantile": ScikitLearn(X, "QuantileTransformer", {"n_quantiles": 4}),
    "k_bins": ScikitLearn(X, "KBinsDiscretizer", {"n_bins": 3, "strategy": "uniform"}),
    "derived": Derive({"z": "x is null", "w": "coalesce(x, x)"}),
    "third": Derive({"z": "x / 3"}),
}
AT = [datetime(2024, 1, 1, 5, 6, 7), None, datetime(1950, 3, 1), datetime(2024, 12, 31, 23, 59)]
TEXT = pa.array(["a", "b", None, "", "é x y"])
PRICES = pa.array([Decimal("1.5"), Decimal("-2.25"), None, Decimal("1000.1")], pa.decimal128(12, 3))
COLUMNS = {
    **{str(type): pa.array([1, 2, 3, 7, 100, None, 0], type) for type in (pa.int8(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64())},
    "large": pa.array([2**62 + 1, -(2**62), None, 5, 2**53 + 1]),
    "larger": pa.array([2**64 - 1, 0, None, 2**63], pa.uint64()),
    "float16": pa.array([1, 2.5, -3, math.nan, None, 7], pa.float16()),
    "float32": pa.array([1.0, 2.5, -3.0, math.nan, None, -0.0, 7.0], pa.float32()),
    "float64": pa.array([1.0, 2.5, -3.0, math.nan, None, 1e30, -0.0, 7.0]),
    "infinite": pa.array([1.0, math.inf, -math.inf, 2.0, None, math.nan]),
    "constant": pa.array([2.5] * 3),
    "all null": pa.array([None] * 3, pa.float64()),
    "all NaN": pa.array([math.nan] * 3),
    "tiny": pa.array([5e-324, 1e-310, 0.0, -5e-324]),
    "huge": pa.array([1e308, -1e308, 1.7e308]),
    "bool": pa.array([True, False, None]),
    "decimal": PRICES,
    "decimal64": PRICES.cast(pa.decimal64(15, 3)),
    "decimal256": PRICES.cast(pa.decimal256(50, 3)),
    "string": TEXT,
    "large_string": TEXT.cast(pa.large_string()),
    "no text": pa.array([None] * 3, pa.string()),
    "dictionary": TEXT.dictionary_encode(),
    "dictionary of large": pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0]), pa.array(["a", "b"], pa.large_string())),
    "dictionary of integers": pa.array([1, 2, None, 1]).dictionary_encode(),
    "dictionary with null": pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array(["a", None, "b"])),
    "dictionary twice": pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array(["a", "a", "b"])),
    "null": pa.nulls(3),
    **{f"{unit}, {zone}": pa.array(AT, pa.timestamp(unit)).cast(pa.int64()).cast(pa.timestamp(unit, zone))
       for unit, zone in (("s", None), ("us", "UTC"), ("ms", "America/New_York"), ("us", "+05:30"))},
    "date32": pa.array([date(2024, 1, 1), None, date(1900, 2, 28)]),
    "time": pa.array([time(1, 2, 3), None], pa.time64("us")),
    "duration": pa.array([5, None], pa.duration("us")),
    "binary": pa.array([b"a", None]),
    "list": pa.array([[1, 2], None]),
    "struct": pa.array([{"a": 1}, None]),
}  # fmt: skip


def bits(table):
    def plain(column):
        type = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        column = column.cast(type)
        return column.cast(pa.int64()) if pa.types.is_temporal(type) and type.bit_width == 64 else column

    values = [[struct.pack("<d", v) if isinstance(v, float) else v for v in plain(column).to_pylist()] for column in table.columns]
    return table.schema, values


def rows_of(column):
    size = len(column)
    ids = {"id": list(range(size)), "g": ["ab"[i % 2] for i in range(size)], "x": column, "y": [i % 2 for i in range(size)]}
    return pa.table(ids)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("column", COLUMNS)
def test_a_type_is_refused_by_name_or_one_row_is_the_row_in_the_batch(column):
    rows = rows_of(COLUMNS[column])
    taken, refused = [], {}
    for name, entry in ENTRIES.items():
        try:
            chain = Chain({"e": entry}, "y").fit(rows.drop_columns("y").schema, lambda stage: [stage(rows), stage(rows.slice(0, 0))])
            whole = chain.apply(rows.select(chain.inputs.names))
        except DataError as error:
            refused[name] = str(error)
            continue
        taken.append(name)
        inputs = rows.select(chain.inputs.names)
        back = FittedChain.from_json(json.loads(json.dumps(chain.to_json(), allow_nan=False)))
        assert bits(whole) == bits(back.apply(inputs)) == bits(chain.apply(pa.concat_tables([inputs, inputs])).slice(0, len(rows))), name
        for row in range(rows.num_rows):
            assert bits(chain.apply(inputs.slice(row, 1))) == bits(whole.slice(row, 1)), (name, row)
        assert whole.schema == chain.features == chain.apply(inputs.slice(0, 0)).schema, name
    assert column in ("time", "duration", "decimal256", "us, +05:30") or taken
    assert [text for text in refused.values() if not re.search(r"'x'|\bx\b", text)] == []
