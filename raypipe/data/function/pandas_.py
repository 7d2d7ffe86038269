"""A table as a pandas frame whose columns are Arrow's own (`ArrowDtype`), and back.

Every type and every null goes through as it is; NaN stays NaN beside null. The frame is the function's own: what it writes into it reaches
nobody else. Columns that it makes of NumPy's arrays get their types from them, and NaN in them stays NaN.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.core.wording import first_line
from raypipe.data.function.numpy_ import mixed
from raypipe.data.types import plain_type


def to_pandas(table: pa.Table) -> Any:
    """A frame with a range as its index."""
    import pandas as pd

    return table.to_pandas(types_mapper=pd.ArrowDtype)


def from_pandas(made: Any) -> pa.Table:
    """A frame that a function returned. DataError in words about what is no table's column."""
    import pandas as pd

    if not isinstance(made, pd.DataFrame):
        raise DataError(f"returned {type(made).__name__}, expected a pandas.DataFrame")
    if named := [name for name in made.index.names if name is not None]:
        raise DataError(f"returned a frame with an index named {named[0]!r}, which no table has: put .reset_index() behind it")
    if odd := [name for name in made.columns if not isinstance(name, str)]:
        raise DataError(f"returned a column named {odd[0]!r}; names are text")
    if twice := sorted(set(made.columns[made.columns.duplicated()])):
        raise DataError(f"returned column '{twice[0]}' twice")
    return pa.table({name: _column(name, made[name]) for name in made.columns}) if len(made.columns) else _no_columns(len(made))


def _column(name: str, series: Any) -> Any:
    import numpy as np
    import pandas as pd

    dtype = series.dtype
    if isinstance(dtype, pd.ArrowDtype):
        return pa.chunked_array(series.array.__arrow_array__())
    of_numpy = isinstance(dtype, np.dtype)
    try:
        # NaN that NumPy computed is a value, as it is in every other form; in a column of objects it stands for none.
        made: Any = pa.array(series.to_numpy() if of_numpy else series, from_pandas=not of_numpy or dtype.hasobject)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"returned column '{name}' with {mixed(series)}: {first_line(error)}") from None
    return made.cast(plain_type(made.type))


def _no_columns(num_rows: int) -> pa.Table:
    return pa.table({"none": pa.nulls(num_rows)}).select([])
