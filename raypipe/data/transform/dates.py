"""A transform that puts the parts of a time on circles: 23:00 is near 0:00, December near January."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest
from raypipe.data.names import column_problems
from raypipe.data.transform.entry import Frame, Row, in_place, replace_columns, require_type
from raypipe.data.types import type_name

if TYPE_CHECKING:
    import numpy as np

PERIODS = {
    "minute": (0, 1440, 1440.0),
    "hour": (0, 24, 24.0),
    "weekday": (0, 7, 7.0),
    "month": (1, 12, 12.0),
    "day_of_year": (1, 366, 365.25),
}
"""Part -> its first number, how many it has, and after how many it comes round."""
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class CyclicDate:
    """Sine and cosine of parts of a time, as float32 columns `left.hour.sin`, `left.hour.cos`, ... in the place of `left`.

    `minute` is that of the day (hour * 60 + minute), `weekday` begins on Monday, `day_of_year` comes round after 365.25 days. A missing
    time is null in all columns. Each part has few values: their sines are computed once, by one function, and looked up, for one row and
    for many. Zones and their rules are those of the machine's time zone database.
    """

    revision: ClassVar[int] = 1

    columns: list[str]
    """Columns of timestamps or dates."""
    parts: list[str]
    """Of `minute`, `hour`, `weekday`, `month` and `day_of_year`; a date has no minute and hour."""
    zone: str | None = None
    """The zone whose clock and calendar are read, such as `Europe/Berlin`, for timestamps with a zone; None: the column's own. Times
    without a zone are read as they stand and take none."""

    def problems(self) -> list[str]:
        found = column_problems(self.columns) + column_problems(self.parts, "parts")
        if not column_problems(self.parts, "parts"):
            found += [f"parts names '{part}', which is none.{nearest(part, PERIODS)}" for part in self.parts if part not in PERIODS]
        if self.zone is not None and not _is_zone(self.zone):
            found.append(f"zone is {self.zone!r}, expected a time zone's name such as Europe/Berlin or UTC")
        return found

    def learns(self) -> bool:
        return False

    def reads(self) -> Sequence[str]:
        return self.columns

    def made(self) -> Mapping[str, Sequence[str]]:
        return {name: [f"{name}.{part}.{wave}" for part in self.parts for wave in ("sin", "cos")] for name in self.columns}

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, lambda type: pa.types.is_timestamp(type) or pa.types.is_date(type), "a timestamp or date")
        if wrong := [text for name in self.columns for text in self._wrong(schema.field(name))]:
            raise DataError("\n".join(wrong))
        return replace_columns(schema, self.made(), pa.float32())

    def _wrong(self, field: pa.Field) -> list[str]:
        found = []
        if self.zone is not None and not pa.types.is_null(field.type) and getattr(field.type, "tz", None) is None:
            found.append(f"column '{field.name}' is {type_name(field.type)}, which has no zone: leave zone out, it is read as it stands")
        if pa.types.is_date(field.type):
            timed = [part for part in self.parts if part in ("minute", "hour")]
            found += [f"column '{field.name}' is {type_name(field.type)}, which has no {part}" for part in timed]
        return found

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        return in_place(frame, {name: self._waves(name, frame[name]) for name in self.columns})

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row]:
        found = {name: (schema.field(name).type, names) for name, names in self.made().items()}

        def waves(row: Row) -> Row:
            made: Row = {}
            for name, (type, names) in found.items():
                made.update(zip(names, self._waves_one(row[name], type), strict=True))
            return made

        return waves

    def _waves_one(self, ticks: int | None, type: pa.DataType) -> list[float | None]:
        """`_waves` of one time. The clock and calendar of a zone are Arrow's here too; what follows is whole numbers."""
        if ticks is None:
            return [None] * (2 * len(self.parts))
        if getattr(type, "tz", None) is not None:
            local: Any = self._local(pa.array([ticks], type))
            ticks = local[0].value
        days, second = divmod(_seconds(ticks, type), 86_400)
        # Every 400 years, 146,097 days, the calendar comes round, weekdays as well.
        day = date.fromordinal(_EPOCH + days % 146_097)
        numbers = {
            "minute": second // 60,
            "hour": second // 3600,
            "weekday": day.weekday(),
            "month": day.month - 1,
            "day_of_year": day.timetuple().tm_yday - 1,
        }
        return [float(values[numbers[part]]) for part in self.parts for values in _circle(part)]

    def _waves(self, name: str, array: pa.Array) -> Frame:
        local, made = self._local(array), {}
        for part in self.parts:
            first, _, _ = PERIODS[part]
            numbers = _number(part, local)
            missing = numbers.is_null().to_numpy(zero_copy_only=False) if numbers.null_count else None
            places = numbers.fill_null(first).to_numpy(zero_copy_only=False) - first
            for wave, values in zip(("sin", "cos"), _circle(part), strict=True):
                made[f"{name}.{part}.{wave}"] = pa.array(values[places], mask=missing)
        return made

    def _local(self, array: pa.Array) -> pa.Array:
        """The same times as the zone's clock and calendar show them."""
        import pyarrow.compute as pc

        zone = getattr(array.type, "tz", None)
        if zone is None:
            return array if not pa.types.is_null(array.type) else array.cast(pa.timestamp("s"))
        at = array if self.zone is None else array.cast(pa.timestamp(array.type.unit, self.zone))
        return pc.local_timestamp(at)  # type: ignore[attr-defined]


def _seconds(ticks: Any, type: Any) -> int:
    if pa.types.is_date32(type):
        return ticks * 86_400
    return ticks // {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}["ms" if pa.types.is_date64(type) else type.unit]


@functools.cache
def _circle(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine of each number of a part, float32."""
    import numpy as np

    _, count, period = PERIODS[part]
    angles = [2.0 * math.pi * place / period for place in range(count)]
    return np.array([math.sin(a) for a in angles], np.float32), np.array([math.cos(a) for a in angles], np.float32)


def _number(part: str, local: pa.Array) -> Any:
    import pyarrow.compute as pc

    compute: Any = pc
    if part == "minute":
        return compute.add(compute.multiply(compute.hour(local), 60), compute.minute(local))
    return {"hour": compute.hour, "weekday": compute.day_of_week, "month": compute.month, "day_of_year": compute.day_of_year}[part](local)


def _is_zone(zone: Any) -> bool:
    import pyarrow.compute as pc

    try:
        compute: Any = pc
        compute.hour(pa.array([0], pa.timestamp("s", zone)))
    except (pa.ArrowInvalid, TypeError, ValueError):
        return False
    return True
