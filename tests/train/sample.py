"""A small table to train on, the same on every call. Run as a program it trains an Mlp and is killed in the middle of its second epoch."""

import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from raypipe.core.store import Store
from raypipe.data.fragment.fragment import Fragment, write_fragment
from raypipe.data.split import rule
from raypipe.data.table import TableSchema
from raypipe.train.fit import fit, fit_in_worker
from raypipe.train.job import Fitted, Job
from raypipe.train.model import Mlp, ModelSettings

NUM_ROWS = 4_000
NUM_FRAGMENTS = 10
FEATURES = ("distance", "wind", "hour", "rain")
MLP = Mlp(hidden=[16], dropout=0.2, batch_rows=256, learning_rate=1e-2)


def rows() -> pa.Table:
    """An hour a row; three quarters are for training, an eighth each for validation and testing."""
    rng = np.random.default_rng(7)
    distance, wind = rng.normal(size=NUM_ROWS).astype(np.float32), rng.normal(size=NUM_ROWS)
    hour, rain = rng.integers(0, 24, NUM_ROWS), rng.random(NUM_ROWS) < 0.2
    late = distance + wind * (hour > 12) + rain + rng.normal(size=NUM_ROWS) * 0.5 > 0.5
    at = [datetime(2013, 1, 1) + timedelta(hours=i) for i in range(NUM_ROWS)]
    names = [*FEATURES, "late", "at", "carrier"]
    carrier = pa.array(rng.choice(["AA", "UA"], NUM_ROWS))
    return pa.table([distance, wind, pa.array(hour, pa.int16()), rain, late, pa.array(at, pa.timestamp("us")), carrier], names=names)


def write(store: Store, table: pa.Table, path: str = "table") -> list[Fragment]:
    size = table.num_rows // NUM_FRAGMENTS
    return [write_fragment(store, f"{path}/{i}.parquet", table.slice(i * size, size)) for i in range(NUM_FRAGMENTS)]


def split() -> dict:
    at = [(datetime(2013, 1, 1) + timedelta(hours=NUM_ROWS * n // 8)).isoformat() for n in (6, 7)]
    return rule("time", on="at", validation_from=at[0], test_from=at[1])


def job(root: Path | str, model: ModelSettings, table: pa.Table | None = None, **changed) -> Job:
    """A training on a store at `root`; checkpoints in its folder `checkpoints`."""
    store, rows_ = Store.open(root), rows() if table is None else table
    schema = TableSchema(rows_.schema, split=split(), label="late", features=FEATURES)
    return replace(Job(store, write(store, rows_), schema, model, "checkpoints", epochs=3), **changed)


class Stop:
    """`alive` of a job: acts when it has been called often enough."""

    def __init__(self, calls: int, act):
        self.calls, self.act = calls, act

    def __call__(self) -> None:
        self.calls -= 1
        if self.calls == 0:
            self.act()


def killed() -> Stop:
    """In the middle of the second epoch of an Mlp."""
    return Stop(12 + 8, lambda: os.kill(os.getpid(), signal.SIGKILL))


@dataclass(frozen=True)
class KilledOnce:
    """What a worker is to do: the first one is killed at work."""

    mark: Path

    def __call__(self, asked: Job) -> Fitted:
        first = not self.mark.exists()
        self.mark.touch()
        return fit_in_worker(replace(asked, alive=killed()) if first else asked)


def never(asked: Job) -> Fitted:
    """What a worker is to do that says who it is, and hears nothing."""
    asked.report(str(os.getpid()))
    time.sleep(600)
    raise AssertionError


if __name__ == "__main__":
    fit(job(sys.argv[1], MLP, checkpoint_every_steps=5, alive=killed()))
