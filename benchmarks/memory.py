"""The most memory that a warm cluster and the process that works on it held at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cluster

SAMPLE_S = 0.2


@contextmanager
def peak(ray: cluster.Cluster) -> Iterator[list[float]]:
    """The most memory that the cluster and the contender held at once, in MB: what is theirs alone, and what they share counted once."""
    most, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_S):
            most[0] = max(most[0], _memory_mb(ray.servers.living()))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def _memory_mb(pids: list[int]) -> float:
    own, shared = 0, [0]
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        kb = {key: int(value.split()[0]) for key, value in (line.split(":", 1) for line in lines) if key in ("RssAnon", "RssShmem")}
        own += kb.get("RssAnon", 0)
        shared.append(kb.get("RssShmem", 0))
    return (own + max(shared)) / 1024
