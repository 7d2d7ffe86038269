"""Parts of a time as places on a circle."""

import math
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.transform.chain import Chain
from raypipe.data.transform.dates import CyclicDate


def learn(entry, rows):
    return Chain({"e": entry}).fit(rows.schema, lambda stage: [stage(rows)])


def at(*times, zone: str | None = "UTC"):
    return pa.table({"t": pa.array(times, pa.timestamp("us", zone)), "z": [0] * len(times)})


def test_the_zone_tells_the_hour_and_the_day():
    rows = at(datetime(2024, 1, 1, 4, 30, tzinfo=UTC), None)
    here = learn(CyclicDate(["t"], ["hour", "weekday", "month", "day_of_year", "minute"]), rows).apply(rows)
    assert here.column_names[:4] == ["t.hour.sin", "t.hour.cos", "t.weekday.sin", "t.weekday.cos"]
    assert here["t.hour.sin"].to_pylist() == [pytest.approx(math.sin(2 * math.pi * 4 / 24)), None]
    assert here["t.minute.cos"][0].as_py() == pytest.approx(math.cos(2 * math.pi * 270 / 1440))
    assert (here["t.weekday.cos"][0].as_py(), here["t.day_of_year.cos"][0].as_py()) == (1.0, 1.0)
    there = learn(CyclicDate(["t"], ["hour", "weekday", "month"], "America/New_York"), rows).apply(rows)
    assert there["t.hour.cos"][0].as_py() == pytest.approx(math.cos(2 * math.pi * 23 / 24))
    assert there["t.weekday.sin"][0].as_py() == pytest.approx(math.sin(2 * math.pi * 6 / 7))
    assert there["t.month.cos"][0].as_py() == pytest.approx(math.cos(2 * math.pi * 11 / 12))


def test_the_last_day_of_a_leap_year_and_times_before_1970():
    rows = pa.table({"t": [date(2024, 12, 31), date(1903, 3, 1)]})
    found = learn(CyclicDate(["t"], ["day_of_year"]), rows).apply(rows)["t.day_of_year.sin"].to_pylist()
    assert found == [pytest.approx(math.sin(2 * math.pi * 365 / 365.25), abs=1e-6), pytest.approx(math.sin(2 * math.pi * 59 / 365.25))]


@pytest.mark.parametrize(
    "type",
    [pa.timestamp("s"), pa.timestamp("ms", "America/Sao_Paulo"), pa.timestamp("us", "UTC"), pa.timestamp("ns"), pa.date32(), pa.date64()],
)
def test_one_time_has_the_parts_that_it_has_among_many(type):
    rng = np.random.default_rng(6)
    days = rng.integers(-100_000, 100_000, 300)
    times = pa.array(days * 86_400_000 + (0 if pa.types.is_date(type) else rng.integers(0, 86_400_000, 300)), pa.int64())
    rows = pa.table({"t": times.cast(pa.timestamp("ms", getattr(type, "tz", None))).cast(type, safe=False)})
    parts = ["weekday", "month", "day_of_year", *([] if pa.types.is_date(type) else ["hour", "minute"])]
    chain = learn(CyclicDate(["t"], parts), rows)
    whole = chain.apply(rows)
    assert all(chain.apply(rows.slice(i, 1)).equals(whole.slice(i, 1)) for i in range(rows.num_rows))


@pytest.mark.parametrize(
    ("entry", "rows", "text"),
    [
        (CyclicDate(["t"], ["hour"], "Europe/Berlin"), at(None, zone=None), "which has no zone: leave zone out"),
        (CyclicDate(["t"], ["hour"]), pa.table({"t": [date(2024, 1, 1)]}), "column 't' is date32, which has no hour"),
        (CyclicDate(["t"], ["hour"]), pa.table({"t": ["noon"]}), "column 't' is string, expected a timestamp or date"),
        (CyclicDate(["t"], ["hours"]), at(None), "parts names 'hours', which is none. Did you mean 'hour'?"),
        (CyclicDate(["t"], ["hour"], "Berlin"), at(None), "zone is 'Berlin', expected a time zone's name"),
    ],
)
def test_what_has_no_such_part_is_refused(entry, rows, text):
    with pytest.raises(DataError) as error:
        learn(entry, rows)
    assert text in str(error.value)
