"""A folder of 10,000 files that are taken already: how long it takes to see that nothing is new, as `plan` and a follower ask it."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from claim import Claim, main

from raypipe.core.ledger import Ledger
from raypipe.core.place import Place
from raypipe.core.store import Store
from raypipe.data.source.csv import Csv
from raypipe.loop.follow import Follow, follow
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import Scene
from raypipe.steps.ingest import Ingest

ROUNDS = 5


def measure(quick: bool) -> Iterator[Claim]:
    import threading

    number = 1_000 if quick else 10_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        for n in range(number):
            (folder / "data" / f"{n:05d}.csv").write_text(f"id,word\n{n},w{n}\n")
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db", "bench")
        scene = Scene(Place(folder, "bench", ledger.url, str(folder / "store")), ledger, Store.open(folder / "store"))
        step = Ingest(Csv("data", types={"id": "int64", "word": "string"}))
        (gauge,) = follow(
            Follow(Pipeline("bench", source=step, transform=None, project_path=folder), scene, [], forever=False), threading.Event()
        )
        assert gauge.num_rows == number, gauge
        look, times = scene.look("bench", "source"), []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            assert not step.ahead(look).pieces
            times.append(time.perf_counter() - began)
        ledger.close()
    yield Claim(
        f"seconds to see that of {number:,} files none is new", statistics.median(times), 0.5, "s", detail=f"least {min(times):.3f}"
    )


if __name__ == "__main__":
    sys.exit(main(measure))
