"""Every row once an epoch, in an order that the seed alone fixes, from any step on."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.store import Store
from raypipe.data.fragment.fragment import write_fragment
from raypipe.train import feed as feeding
from raypipe.train.feed import Feed, pools, prefetched
from raypipe.train.rows import Group, Part

NUM_FRAGMENTS = 21
FRAGMENT_ROWS = 70


@pytest.fixture
def part(tmp_path: Path) -> Part:
    """Rows that know their number; of each second fragment only the even ones belong to the part."""
    store, groups = Store.open(tmp_path), []
    for i in range(NUM_FRAGMENTS):
        numbers = np.arange(FRAGMENT_ROWS) + i * FRAGMENT_ROWS
        table = pa.table({"number": numbers, "half": numbers / 2, "late": numbers % 3 == 0})
        chosen = np.arange(FRAGMENT_ROWS) % 2 == 0
        fragment = write_fragment(store, f"{i}.parquet", table)
        groups.append(Group(fragment, 0, int(chosen.sum()), np.packbits(chosen)) if i % 2 else Group(fragment, 0, FRAGMENT_ROWS, None))
    return Part("train", store, tuple(groups), ("number", "half"), "late", "true", False)


def numbers(feed: Feed, epoch: int, first_step: int = 0) -> list[int]:
    return [int(n) for features, _ in feed.batches(epoch, first_step) for n in features[:, 0]]


def expected() -> list[int]:
    return [
        n
        for i in range(NUM_FRAGMENTS)
        for n in range(i * FRAGMENT_ROWS, (i + 1) * FRAGMENT_ROWS)
        if i % 2 == 0 or n % 2 == i * FRAGMENT_ROWS % 2
    ]


def test_an_epoch_has_every_row_once_in_batches_of_one_size(part: Part):
    feed = Feed(part, 64, seed=3)
    batches = list(feed.batches(0))
    assert sorted(numbers(feed, 0)) == expected()
    assert [len(y) for _, y in batches] == [64] * (len(batches) - 1) + [part.num_rows % 64]
    assert len(batches) == feed.num_steps
    for features, label in batches:
        assert (features.dtype, label.dtype) == (np.float32, np.float32)
        assert np.array_equal(features[:, 1], features[:, 0] / 2)
        assert np.array_equal(label, features[:, 0] % 3 == 0)


def test_the_order_is_the_seeds_and_another_one_each_epoch(part: Part):
    first = numbers(Feed(part, 64, seed=3), 0)
    assert first == numbers(Feed(part, 64, seed=3), 0)
    assert first != numbers(Feed(part, 64, seed=3), 1)
    assert first != numbers(Feed(part, 64, seed=4), 0)


def test_from_any_step_on_it_gives_what_an_uninterrupted_epoch_gives(part: Part, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feeding, "WINDOW_ROWS", 500)
    feed = Feed(part, 64, seed=3)
    assert len(pools(feed._counts, 3, 0)) == 2
    whole = numbers(feed, 5)
    for step in range(feed.num_steps + 1):
        assert numbers(feed, 5, step) == whole[step * 64 :]


def test_what_is_kept_in_memory_makes_no_difference(part: Part, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feeding, "WINDOW_ROWS", 500)
    assert numbers(Feed(part, 64, seed=3, keep_bytes=0), 2) == numbers(Feed(part, 64, seed=3), 2)


def test_at_least_eight_row_groups_are_shuffled_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feeding, "WINDOW_ROWS", 100)
    made = pools(np.full(30, 1000), seed=0, epoch=0)
    assert [len(p) for p in made] == [10, 10, 10]
    assert sorted(np.concatenate(made).tolist()) == list(range(30))
    assert [len(p) for p in pools(np.full(5, 1000), seed=0, epoch=0)] == [5]


def test_what_the_thread_raises_is_raised_to_the_one_who_reads():
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("a torn page")

    reading = prefetched(items(), 2)
    assert next(reading) == 1
    with pytest.raises(ValueError, match="a torn page"):
        next(reading)


def test_closing_the_iterator_ends_the_thread():
    before = threading.active_count()
    reading = prefetched(iter(range(1_000_000)), 2)
    assert next(iter(reading)) == 0
    reading.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
