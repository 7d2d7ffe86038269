"""The example's own tests, as a project has them: its functions, its transform and its pipeline on rows made up here."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import flights
import pyarrow as pa
import pytest

import raypipe
from raypipe.testing import apply_transform, assert_same_online, check_contract, run_pipeline

HERE = Path(__file__).parent
HOURS = pa.timestamp("us", "UTC")


def observations(first: datetime, num_hours: int) -> pa.Table:
    draw = random.Random(2)
    rows = [(origin, first + timedelta(hours=n)) for origin in ("EWR", "JFK", "LGA") for n in range(num_hours)]
    clock = {name: [getattr(at, name) for _, at in rows] for name in ("year", "month", "day", "hour")}
    measured = {name: [draw.uniform(low, high) for _ in rows] for name, (low, high) in MEASURED.items()}
    times = pa.array([at for _, at in rows], HOURS)
    return pa.table({"origin": [o for o, _ in rows], **clock, **measured, "wind_dir": [180] * len(rows), "time_hour": times})


MEASURED = {
    "temp": (20, 90), "dewp": (10, 60), "humid": (20, 100), "wind_speed": (0, 30), "wind_gust": (0, 40), "precip": (0, 1),
    "pressure": (990, 1030), "visib": (0, 10),
}  # fmt: skip


def departures(first: datetime, num_rows: int) -> pa.Table:
    draw = random.Random(3)
    at = [first + timedelta(hours=draw.randrange(24 * 150), minutes=0) for _ in range(num_rows)]
    minutes = [draw.randrange(60) for _ in at]
    delays = [draw.randrange(-20, 60) for _ in at]
    clock = {name: [getattr(t, name) for t in at] for name in ("year", "month", "day", "hour")}
    times = {
        "dep_time": 900,
        "sched_dep_time": 900,
        "arr_time": 1100,
        "sched_arr_time": 1100,
        "flight": 1,
        "air_time": 120,
        "distance": 500,
    }
    words = {"carrier": ["UA", "AA"], "tailnum": ["N1"], "origin": ["EWR", "JFK", "LGA"], "dest": ["ATL", "SFO"]}
    return pa.table(
        {
            **clock,
            **{name: [value] * num_rows for name, value in times.items()},
            **{name: [draw.choice(values) for _ in at] for name, values in words.items()},
            "dep_delay": delays,
            "arr_delay": delays,
            "minute": minutes,
            "time_hour": pa.array(at, HOURS),
        }
    )


def test_the_hour_is_that_of_new_yorks_clock():
    at = pa.table({"scheduled_at": pa.array([datetime(2013, 7, 5, 3, 30, tzinfo=UTC)], HOURS)})
    made = apply_transform(flights.add_departure_time, at, project_path=HERE)
    assert (made["departure_hour"].to_pylist(), made["departure_minute"].to_pylist(), made["day_of_week"].to_pylist()) == (
        [23],
        [1410],
        [3],
    )


def test_a_departure_alone_has_the_features_that_it_has_among_others():
    at = [datetime(2013, 7, 5, tzinfo=UTC) + timedelta(minutes=37 * n) for n in range(60)]
    rows = pa.table({"scheduled_at": pa.array(at, HOURS), "distance": [100.0 + n for n in range(60)]})
    entries = {"departure": flights.add_departure_time, "scale": raypipe.Standardize(["distance", "departure_minute"])}
    assert assert_same_online(entries, rows, project_path=HERE).num_rows == 60


def test_an_airport_that_is_not_new_yorks_is_refused():
    contract = raypipe.Contract({"origin": raypipe.Column("string", allowed=["EWR", "JFK", "LGA"])}, exact=False)
    check_contract(contract, observations(datetime(2013, 1, 1, tzinfo=UTC), 2))
    with pytest.raises(AssertionError, match="column 'origin': 1 of 1 rows not among EWR, JFK, LGA"):
        check_contract(contract, pa.table({"origin": ["BOS"]}))


def test_the_pipeline_makes_features_of_departures_and_weather():
    first = datetime(2013, 8, 1, tzinfo=UTC)
    rows = {"source": departures(first, 400), "weather": observations(first, 24 * 151)}
    ran = run_pipeline(HERE / "conf", ["transform.kinds.min_count=1"], upto="transform", rows=rows)
    made = ran.table("transform")
    assert made.num_rows == 400
    assert made["temp"].null_count == 0
    assert set(made["late"].to_pylist()) == {True, False}
