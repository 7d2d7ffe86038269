"""The flagship's own code: a landing zone written once, and no weather that was not known at the scheduled departure."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights"
LEAK = "transform.inputs.columns=[scheduled_at,dep_delay]"
"""An override as the README shows it."""
NOON = datetime(2013, 7, 4, 12, tzinfo=UTC)


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


flights = module("flights")


def departures(*rows: tuple[str, datetime]) -> pa.Table:
    hours = [at.replace(minute=0) for _, at in rows]
    minutes = [at.minute for _, at in rows]
    return pa.table({"origin": [origin for origin, _ in rows], "time_hour": pa.array(hours, pa.timestamp("us", "UTC")), "minute": minutes})


def observations(*rows: tuple[str, datetime, float | None]) -> pa.Table:
    hours = pa.array([at for _, at, _ in rows], pa.timestamp("us", "UTC"))
    measured = pa.array([value for _, _, value in rows], pa.float64())
    return pa.table({"origin": [origin for origin, _, _ in rows], "time_hour": hours, **dict.fromkeys(flights.OBSERVED, measured)})


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("flights") / "data"
    assert module("prepare").prepare(path) is True
    return path


@pytest.fixture(scope="module")
def january(landing: Path) -> pa.Table:
    return pyarrow.parquet.read_table(landing / "flights" / "flights-2013-01.parquet")


@pytest.fixture(scope="module")
def weather(landing: Path) -> pa.Table:
    types = {"time_hour": pa.timestamp("us", "UTC"), **dict.fromkeys(flights.OBSERVED, pa.float64())}
    options = pyarrow.csv.ConvertOptions(null_values=["NA"], column_types=types)
    return pyarrow.csv.read_csv(landing / "weather" / "weather-2013-01.csv", convert_options=options)


@pytest.mark.parametrize(
    ("minutes_after_noon", "temp"),
    [(0, 11.0), (59, 11.0), (60, 12.0), (61, 12.0), (6 * 60, 12.0), (6 * 60 + 1, None), (-1, None)],
)
def test_an_hours_observation_is_known_when_the_hour_is_over_and_for_six_hours(minutes_after_noon: int, temp: float | None):
    weather = observations(("JFK", NOON, 12.0), ("JFK", NOON - hours(1), 11.0))
    joined = flights.with_weather(departures(("JFK", NOON + timedelta(minutes=minutes_after_noon))), weather)
    assert joined["temp"].to_pylist() == [temp]


def test_no_airport_sees_anothers_weather():
    weather = observations(("LGA", NOON, 1.0), ("JFK", NOON - hours(2), 2.0), ("LGA", NOON + hours(5), 3.0))
    joined = flights.with_weather(departures(("JFK", NOON), ("LGA", NOON), ("EWR", NOON), ("LGA", NOON + hours(2))), weather)
    assert joined["temp"].to_pylist() == [2.0, None, None, 1.0]


def test_the_join_is_the_naive_one(january: pa.Table, weather: pa.Table):
    some = january.take(list(range(0, january.num_rows, 997)))
    joined = flights.with_weather(some, weather)
    observed = weather.select(["origin", "time_hour", "temp", "visib"]).to_pylist()
    assert joined.num_rows == some.num_rows
    for row in joined.to_pylist():
        at = row["time_hour"] + timedelta(minutes=row["minute"])
        known = [o for o in observed if o["origin"] == row["origin"] and o["time_hour"] + hours(1) <= at <= o["time_hour"] + hours(6)]
        newest = max(known, key=lambda o: o["time_hour"], default={"temp": None, "visib": None})
        assert (row["temp"], row["visib"]) == (newest["temp"], newest["visib"])
        assert row["scheduled_at"] == at


def test_what_was_there_stays_and_an_empty_table_has_the_same_columns(january: pa.Table, weather: pa.Table):
    joined = flights.with_weather(january, weather)
    assert joined.select(january.column_names).equals(january)
    assert flights.with_weather(january.slice(0, 0), weather).schema == joined.schema


def test_the_departure_is_told_by_new_yorks_clock():
    at = [datetime(2013, 1, 7, 3, 30, tzinfo=UTC), datetime(2013, 7, 7, 3, 30, tzinfo=UTC), datetime(2013, 11, 3, 6, 0, tzinfo=UTC)]
    table = flights.add_departure_time(pa.table({"scheduled_at": pa.array(at, pa.timestamp("us", "UTC"))}))
    assert table.drop(["scheduled_at"]).to_pylist() == [
        {"departure_minute": 22 * 60 + 30, "departure_hour": 22, "day_of_week": 6},
        {"departure_minute": 23 * 60 + 30, "departure_hour": 23, "day_of_week": 5},
        {"departure_minute": 60, "departure_hour": 1, "day_of_week": 6},
    ]


def test_the_local_hour_is_the_schedules_own(january: pa.Table, weather: pa.Table):
    month = flights.add_departure_time(flights.with_weather(january, weather))
    assert month["departure_hour"].to_pylist() == month["hour"].to_pylist()


def test_the_landing_zone_is_written_once_and_whole(landing: Path):
    names = sorted(str(path.relative_to(landing)) for path in landing.rglob("*.*"))
    assert len(names) == 24
    assert names[0] == "flights/flights-2013-01.parquet"
    assert names[-1] == "weather/weather-2013-12.csv"
    rows = [pyarrow.parquet.read_metadata(path).num_rows for path in sorted(landing.glob("flights/*"))]
    assert sum(rows) == 336_776
    assert [path.name for path in landing.parent.iterdir()] == ["data"], "nothing half-written is left"
    before = {path: path.stat().st_mtime_ns for path in landing.rglob("*")}
    assert module("prepare").prepare(landing) is False
    assert {path: path.stat().st_mtime_ns for path in landing.rglob("*")} == before


def test_the_raw_rows_keep_their_gaps_and_outliers(landing: Path):
    rows = pyarrow.parquet.read_table(landing / "flights")
    assert rows["arr_delay"].null_count == 9_430
    assert rows["tailnum"].null_count == 2_512
    text = (landing / "weather" / "weather-2013-02.csv").read_text()
    assert "1048.36" in text
    assert ",NA," in text


def test_a_run_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    prepare = module("prepare")
    monkeypatch.setattr(prepare, "packaged", lambda name: tmp_path / "nowhere" / name)
    with pytest.raises(FileNotFoundError):
        prepare.prepare(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_the_config_and_the_python_are_one_pipeline(monkeypatch: pytest.MonkeyPatch):
    from raypipe.config.compose import compose
    from raypipe.pipeline.assemble import assemble

    monkeypatch.syspath_prepend(EXAMPLE)
    composed = assemble(compose(EXAMPLE / "conf", "flights").values, (EXAMPLE,))
    assert module("pipeline").pipeline == composed


def test_what_is_known_only_afterwards_is_refused_before_anything_starts(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "raypipe", "check", "-cd", str(EXAMPLE / "conf"), "-cn", "flights", LEAK],
        capture_output=True,
        text=True,
        env={**os.environ, "RAYPIPE_LEDGER": f"sqlite:///{tmp_path}/ledger.db", "RAYPIPE_STORE": str(tmp_path / "store")},
    )
    assert done.returncode == 2, done.stderr
    assert "dep_delay" in done.stderr + done.stdout


def test_the_tests_that_the_example_has_of_its_own():
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLE.parents[1])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(EXAMPLE), str(EXAMPLE / "test_flights.py")]
    done = subprocess.run(command, cwd=EXAMPLE, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
