"""Kafka to a table: messages of 200 bytes of JSON, taken batch after batch; how many a second, and whether memory grows.

The brokers are librdkafka's mock cluster in a process of its own, filled beforehand: it keeps about 5 MB a partition.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from claim import Claim, main

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for the tests' brokers

NUM_PARTITIONS = 64
TYPES = {"user": "int64", "amount": "float64", "name": "string", "at": "timestamp[us, tz=UTC]", "ok": "bool", "text": "string"}


def measure(quick: bool) -> Iterator[Claim]:
    per_partition = 2_000 if quick else 20_000
    command = [sys.executable, __file__, "brokers", str(per_partition)]
    brokers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert brokers.stdout
        servers = brokers.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            seconds, cpu_s, megabytes = taken(Path(folder), servers, per_partition * NUM_PARTITIONS)
    finally:
        brokers.communicate()
    num = per_partition * NUM_PARTITIONS
    detail = f"{num:,} messages, {num / seconds:,.0f}/s, {cpu_s / seconds:.1f} cores"
    yield Claim("seconds for 50,000 messages of 200 bytes from Kafka to a table", 50_000 * seconds / num, 1.0, "s", detail=detail)
    early, late = max(megabytes[: len(megabytes) // 2]), max(megabytes[len(megabytes) // 2 :])
    yield Claim(
        "memory in the second half of the batches over that in the first", late / early, 1.1, detail=f"{early:.0f} and {late:.0f} MB"
    )


def taken(folder: Path, servers: str, num: int) -> tuple[float, float, list[float]]:
    """Seconds, CPU seconds, and memory after each batch."""
    from raypipe.core.ledger import Ledger
    from raypipe.core.place import Place
    from raypipe.core.store import Store
    from raypipe.data.contract.contract import Column, Contract
    from raypipe.data.source.kafka import Kafka
    from raypipe.loop.follow import Follow, Pace, follow
    from raypipe.pipeline.node import Pipeline
    from raypipe.pipeline.plan import Scene
    from raypipe.steps.ingest import Ingest

    ledger, store = Ledger.open(f"sqlite:///{folder}/ledger.db", "bench"), Store.open(folder / "store")
    scene = Scene(Place(folder, "bench", ledger.url, store.root), ledger, store)
    contract = Contract({name: Column(type) for name, type in TYPES.items()})
    pipeline = Pipeline("bench", source=Ingest(Kafka("events", servers), contract), contract=None, transform=None)
    megabytes: list[float] = []
    pace = Pace(num_rows=max(10_000, num // 12))
    what = Follow(pipeline, scene, [], pace, forever=False, on_gauges=lambda gauges: megabytes.append(resident()))
    began, cpu = time.monotonic(), time.process_time()
    (gauge,) = follow(what, threading.Event())
    assert gauge.num_rows == num, gauge
    return time.monotonic() - began, time.process_time() - cpu, megabytes


def resident() -> float:
    """MB of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def serve(per_partition: int) -> None:
    from tests.kafka import MockKafka

    kafka = MockKafka()
    kafka.topic("events", NUM_PARTITIONS)
    fixed = {"at": "2026-01-01T00:00:00.123456Z", "ok": True, "text": "x" * 83}
    message = json.dumps({"user": 123456789, "amount": 1234.5, "name": "name 77", **fixed}).encode()
    assert 195 <= len(message) <= 205, len(message)
    for partition in range(NUM_PARTITIONS):
        kafka.send("events", [message] * per_partition, partition)
    print(kafka.servers, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1:2] == ["brokers"]:
        serve(int(sys.argv[2]))
    else:
        sys.exit(main(measure))
