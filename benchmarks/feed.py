"""How fast a training is fed: an epoch through raypipe's feed over the same epoch on tensors that lie in memory, rows a second.

An MLP 20-256-256-1 on one thread, 4,096 rows a step. The tensors in memory are shuffled as a training must: each step takes its rows
of a random permutation.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from claim import Claim, interleaved, main, spread

from raypipe.core.store import Store
from raypipe.data.fragment.fragment import write_fragment
from raypipe.train.feed import Feed
from raypipe.train.model import Mlp
from raypipe.train.rows import Group, Part
from raypipe.train.torch_ import build

NUM_FEATURES = 20
BATCH_ROWS = 4_096
FRAGMENT_ROWS = 131_072


def measure(quick: bool) -> Iterator[Claim]:
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        part = written(Store.open(Path(folder)), 2 if quick else 4)
        kept, streamed = Feed(part, BATCH_ROWS, seed=0), Feed(part, BATCH_ROWS, seed=0, keep_bytes=0)
        features, label = (torch.from_numpy(a) for a in part.load())
        measures = {
            "tensors in memory": lambda: epoch(shuffled(features, label), part.num_rows),
            "feed, kept in memory": lambda: epoch(fed(kept), part.num_rows),
            "feed, Parquet read each epoch": lambda: epoch(fed(streamed), part.num_rows),
        }
        found = interleaved(2 if quick else 11, measures)
        for name in list(measures)[1:]:
            yield Claim(
                f"rows/s of the {name}, over tensors in memory",
                paired(found[name], found["tensors in memory"]),
                0.95,
                at_least=True,
                detail=spread({k: found[k] for k in ("tensors in memory", name)}, "rows/s"),
            )


def paired(ours: list[float], theirs: list[float]) -> float:
    """The median over rounds of the ratio within a round: a machine that is busy for a while slows both alike."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def written(store: Store, num_fragments: int) -> Part:
    """Fragments of one row group each, all of the training part."""
    rng = np.random.default_rng(0)
    groups = []
    for i in range(num_fragments):
        columns: dict[str, Any] = {f"x{j}": rng.normal(size=FRAGMENT_ROWS).astype(np.float32) for j in range(NUM_FEATURES)}
        columns["late"] = columns["x0"] > 0
        groups.append(Group(write_fragment(store, f"{i}.parquet", pa.table(columns)), 0, FRAGMENT_ROWS, None))
    return Part("train", store, tuple(groups), tuple(f"x{j}" for j in range(NUM_FEATURES)), "late", "true", False)


def shuffled(features: Any, label: Any) -> Iterator[Any]:
    import torch

    for rows in torch.randperm(len(label)).split(BATCH_ROWS):
        yield features[rows], label[rows]


def fed(feed: Feed) -> Iterator[Any]:
    import torch

    for features, label in feed.batches(0):
        yield torch.from_numpy(features), torch.from_numpy(label)


def epoch(batches: Iterable[Any], num_rows: int) -> float:
    """Rows a second of an epoch of training steps, those of its start included."""
    step = stepper()
    began = time.perf_counter()
    for features, label in batches:
        step(features, label)
    return num_rows / (time.perf_counter() - began)


def stepper() -> Callable[[Any, Any], None]:
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    model = build(NUM_FEATURES, Mlp(hidden=[256, 256]))
    optimizer = torch.optim.AdamW(model.parameters())

    def step(features: Any, label: Any) -> None:
        optimizer.zero_grad(set_to_none=True)
        binary_cross_entropy_with_logits(model(features)[:, 0], label).backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    sys.exit(main(measure))
