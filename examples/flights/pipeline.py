"""The pipeline of conf/flights.yaml in Python: the same value, so that what a run of one has made is a HIT for the other."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import flights

import raypipe as rp

known = partial(rp.Column, nulls=False)
afterwards = partial(rp.Column, known="afterwards")
AIRPORTS = ["EWR", "JFK", "LGA"]
WEATHER = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]

of_flights = rp.Contract(
    {
        "year": known("int64"),
        "month": known("int64", min=1, max=12),
        "day": known("int64", min=1, max=31),
        "dep_time": afterwards("int64", min=1, max=2400),
        "sched_dep_time": known("int64", min=0, max=2359),
        "dep_delay": afterwards("int64"),
        "arr_time": afterwards("int64", min=1, max=2400),
        "sched_arr_time": known("int64", min=0, max=2400),
        "arr_delay": afterwards("int64"),
        "carrier": known("string", pattern="[A-Z0-9]{2}"),
        "flight": known("int64", min=1),
        "tailnum": afterwards("string"),
        "origin": known("string", allowed=AIRPORTS),
        "dest": known("string", pattern="[A-Z]{3}"),
        "air_time": afterwards("int64", min=1),
        "distance": known("int64", min=1),
        "hour": known("int64", min=0, max=23),
        "minute": known("int64", min=0, max=59),
        "time_hour": known("timestamp[us, tz=UTC]"),
    }
)

of_weather = rp.Contract(
    {
        "origin": known("string", allowed=AIRPORTS),
        "year": known("int64"),
        "month": known("int64", min=1, max=12),
        "day": known("int64", min=1, max=31),
        "hour": known("int64", min=0, max=23),
        "temp": rp.Column("float64", min=-40, max=120),
        "dewp": rp.Column("float64", min=-60, max=100),
        "humid": rp.Column("float64", min=0, max=100),
        "wind_dir": rp.Column("int64", min=0, max=360),
        "wind_speed": rp.Column("float64", min=0, max=200, on_breach="drop"),
        "wind_gust": rp.Column("float64", min=0, max=200),
        "precip": rp.Column("float64", min=0),
        "pressure": rp.Column("float64", min=900, max=1100),
        "visib": rp.Column("float64", min=0),
        "time_hour": known("timestamp[us, tz=UTC]"),
    }
)

pipeline = rp.Pipeline(
    name="flights",
    project_path=Path(__file__).parent,
    source=rp.Parquet("data/flights"),
    contract=of_flights,
    split=rp.Split(by="time", on="time_hour", validation_from="2013-10-01T04:00:00Z", test_from="2013-11-01T04:00:00Z"),
    steps={
        "labelled": rp.Label("late", "arr_delay > 15"),
        "weather": rp.Ingest(rp.Csv("data/weather", null_values=["NA"]), of_weather),
        "joined": partial(flights.with_weather, flights="labelled", weather="weather"),
    },
    label="late",
    transform={
        "table": "joined",
        "inputs": rp.Select(["scheduled_at", "carrier", "origin", "dest", "distance", *WEATHER]),
        "departure": flights.add_departure_time,
        "busy": rp.Frequency(["dest"]),
        "scale": rp.Standardize(["dest", "distance", "departure_minute", *WEATHER]),
        "impute": rp.Impute(WEATHER, with_="constant", value=0.0),
        "kinds": rp.OneHot(["carrier", "origin", "departure_hour", "day_of_week"], min_count=30),
        "features": rp.Drop(["scheduled_at"]),
    },
    model=rp.Booster(),
    train=rp.Train(epochs=5, classes=["on time", "late"]),
    evaluate=rp.Evaluate(slices=["carrier", "origin"]),
    gate=rp.Gate(thresholds={"auc": {"min": 0.65, "max": 0.8}, "brier": {"max": 0.18}}, max_drop={"auc": 0.02}),
    deploy=rp.Deploy(num_replicas=1),
)

if __name__ == "__main__":
    result = rp.run(pipeline)
    print(result)
    raise SystemExit(result.exit_code)
