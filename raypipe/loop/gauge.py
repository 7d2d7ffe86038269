"""How a follower is doing: rows, rate and lag, as a line for people and as Prometheus' text."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from raypipe.core.wording import counted

WINDOW_S = 30.0
"""Over which a rate is taken."""


@dataclass
class Gauge:
    """The figures of one table."""

    step: str
    table: str
    clock: Callable[[], float] = time.time
    num_rows: int = 0
    """Committed by this follower."""
    num_batches: int = 0
    num_quarantined: int = 0
    num_retries: int = 0
    snapshot: int | None = None
    lag: Mapping[str, float] = field(default_factory=dict)
    """What is there and not taken, by unit."""
    committed_at: float | None = None
    state: str = "waits"
    _recent: deque[tuple[float, int]] = field(default_factory=deque)

    def committed(self, num_rows: int, num_quarantined: int, snapshot: int, lag: Mapping[str, float]) -> None:
        now = self.clock()
        self.num_rows += num_rows
        self.num_batches += 1
        self.num_quarantined += num_quarantined
        self.snapshot, self.lag, self.committed_at = snapshot, lag, now
        self._recent.append((now, num_rows))

    @property
    def rows_per_s(self) -> float:
        """Over the last WINDOW_S, or since the first batch where that is less."""
        now = self.clock()
        while self._recent and self._recent[0][0] < now - WINDOW_S:
            self._recent.popleft()
        if not self._recent:
            return 0.0
        return sum(rows for _, rows in self._recent) / max(now - self._recent[0][0], 1.0)

    def line(self) -> str:
        """`source: 1,234 rows in 5 batches, 250/s, lag 17 messages, snapshot 9, 2 s ago`."""
        parts = [f"{counted(self.num_rows, 'row')} in {counted(self.num_batches, 'batch')}", f"{self.rows_per_s:,.0f}/s"]
        parts += [f"lag {value:,.0f} {unit}" for unit, value in self.lag.items()]
        if self.num_quarantined:
            parts.append(f"{self.num_quarantined:,} in quarantine")
        if self.committed_at is not None:
            parts.append(f"snapshot {self.snapshot}, {max(0.0, self.clock() - self.committed_at):.0f} s ago")
        return f"{self.step} {self.state}: {', '.join(parts)}"


_HELP = {
    "rows_total": ("counter", "Rows committed."),
    "batches_total": ("counter", "Batches committed."),
    "quarantined_total": ("counter", "Records and files that could not be read."),
    "retries_total": ("counter", "Times that a source did not answer and was asked again."),
    "rows_per_second": ("gauge", "Rows committed per second, lately."),
    "last_commit_timestamp_seconds": ("gauge", "When the last batch was committed, in seconds since 1970."),
    "lag": ("gauge", "What is in the source and not in the table, by unit."),
}


def prometheus(gauges: Sequence[Gauge]) -> str:
    """The text exposition format."""
    samples: dict[str, list[str]] = {name: [] for name in _HELP}
    for gauge in gauges:
        values: dict[str, float | None] = {
            "rows_total": gauge.num_rows,
            "batches_total": gauge.num_batches,
            "quarantined_total": gauge.num_quarantined,
            "retries_total": gauge.num_retries,
            "rows_per_second": gauge.rows_per_s,
            "last_commit_timestamp_seconds": gauge.committed_at,
        }
        for name, value in values.items():
            if value is not None:
                samples[name].append(f"{_sample(name, table=gauge.table)} {value:.17g}")
        samples["lag"] += [f"{_sample('lag', table=gauge.table, unit=unit)} {value:.17g}" for unit, value in gauge.lag.items()]
    lines = []
    for name, (kind, text) in _HELP.items():
        lines += [f"# HELP raypipe_ingest_{name} {text}", f"# TYPE raypipe_ingest_{name} {kind}", *samples[name]]
    return "\n".join(lines) + "\n"


def write(path: Path, gauges: Sequence[Gauge]) -> None:
    """Replaces the file at once: a collector reads the old text or the new one."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(prometheus(gauges))
    os.replace(part, path)


def _sample(name: str, **labels: str) -> str:
    escaped = {key: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for key, value in labels.items()}
    named = ",".join(f'{key}="{value}"' for key, value in escaped.items())
    return f"raypipe_ingest_{name}{{{named}}}"
