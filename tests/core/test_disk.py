"""A disk that is nearly full."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from raypipe.core.disk import is_low, warning
from raypipe.core.retention import Retention
from raypipe.core.store import Store

GB = 10**9


@pytest.mark.parametrize(
    ("free", "total", "low"),
    [(4 * GB, 500 * GB, True), (6 * GB, 500 * GB, False), (2 * GB, 20 * GB, False), (GB // 2, 20 * GB, True)],
)
def test_five_gigabytes_are_little_and_of_a_small_disk_a_twentieth(free, total, low):
    assert is_low(free, total, Retention()) is low


def test_it_says_how_much_is_free_and_what_to_do(store: Store, monkeypatch: pytest.MonkeyPatch):
    assert warning(store, Retention(low_disk=0)) == ""
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=1, f_frsize=GB, f_blocks=100))
    told = warning(store, Retention())
    assert (
        told == f"the disk of the store {store.root} is nearly full: 1.0 GB of 100.0 GB are free; `raypipe gc --dry-run` says what can go"
    )
    assert warning(Store("s3://bucket/prefix"), Retention()) == ""
