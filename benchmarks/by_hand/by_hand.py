"""The flights example from raw files to figures as one writes it by hand: Ray tasks, pyarrow, LightGBM under Ray Train, no raypipe.

It runs from a copy beside the example's flights.py (`python by_hand.py OUT ADDRESS`) and makes what the pipeline makes up to its step
`evaluate`: the same tables as Parquet with page checksums, digests and fsync, the same checks, join, transform, training and figures.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import ray
from boosting import evaluate, score, train
from steps import (
    FLIGHTS,
    WEATHER_RULES,
    join,
    label,
    merge,
    partial,
    prepared,
    publish,
    remote,
    split,
    sync,
    table,
    take_file,
    transform,
    write_bytes,
)


def main(out: Path, address: str) -> dict[str, Any]:
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    flights = table(out / "source", take_file, sorted(Path("data/flights").resolve().glob("*.parquet")), FLIGHTS)
    weather = table(out / "weather", take_file, sorted(Path("data/weather").resolve().glob("*.csv")), WEATHER_RULES)
    parts = split(flights)
    labelled = table(out / "labelled", label, flights)
    joined = publish(out / "joined", ray.get(remote(join).remote(prepared(out / "joined"), labelled, weather)))
    fitted = merge(ray.get([remote(partial).remote(part) for part in joined]))
    features = table(out / "transform", transform, joined, fitted)
    model = train(out / "train", features, fitted)
    scores = [s for s in ray.get([remote(score).remote(part, str(model / "model.txt"), fitted) for part in features]) if s]
    figures = {"parts": parts, **evaluate(scores, json.loads((model / "bundle.json").read_text())["threshold"])}
    write_bytes(prepared(out / "evaluate") / "figures.json", json.dumps(figures).encode())
    sync(out / "evaluate")
    return figures


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
