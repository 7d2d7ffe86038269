"""The disk that a store lies on: how much of it is free, and whether that is little."""

from __future__ import annotations

import os

from raypipe.core.retention import Retention
from raypipe.core.store import Store, is_remote
from raypipe.core.wording import size_text

SHARE = 0.05
"""Of a small disk this share is little, rather than `low_disk`."""


def is_low(free: int, total: int, policy: Retention) -> bool:
    return free < min(policy.low_bytes, SHARE * total)


def warning(store: Store, policy: Retention) -> str:
    """What to say where the store's disk is nearly full; empty where it is not, and of an object store. It costs 2 us."""
    if is_remote(store.root):
        return ""
    found = os.statvfs(store.root)
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    if not is_low(free, total, policy):
        return ""
    left = f"{size_text(free)} of {size_text(total)} are free"
    return f"the disk of the store {store.root} is nearly full: {left}; `raypipe gc --dry-run` says what can go"
