"""Retention: what of a project's store and ledger may go, and when; `[retention]` in raypipe.toml, which every default suits a laptop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from raypipe.core.artifact import Json
from raypipe.core.errors import Problem, nearest
from raypipe.core.units import BYTES, SECONDS, num_bytes, read, seconds


@dataclass(frozen=True)
class Retention:
    """What stays. Times are a number with its unit (`12h`, `30d`), sizes likewise (`1GB`). What a tag, an alias, an endpoint or a run at
    work needs stays whatever these say."""

    keep_last: int = 5
    """So many of the newest artifacts of each step stay, and of the snapshots of each table."""
    keep_for: float | str = "30d"
    """What was made, or found by a run, within this time stays too."""
    versions: int = 10
    """So many of the newest registered versions of each model stay with all that they were made from. Those with an alias, and those that
    an endpoint serves, stay in any case."""
    snapshots_for: float | str | None = None
    """Of tables with rows from outside (an Ingest's, a person's), snapshots that are older end too, but for the newest `keep_last`. Left
    out: they never end, for what they held cannot be made again."""
    logs_for: float | str = "90d"
    """What was said in a run, and the code and environment that it ran with, stay so long after it ended."""
    keep_runs: int = 50
    """And those of so many of the newest runs of each pipeline, whatever their age."""
    checkpoints_for: float | str = "30d"
    """So long a training that was killed may go on from its checkpoints, and a longer one from those of a shorter."""
    refused_for: float | str = "30d"
    """So long rows that a contract refused may be looked at."""
    grace: float | str = "1d"
    """So long a file is on the list before it is deleted."""
    auto: bool = True
    """A run cleans up by itself, at most once a day: logs, checkpoints, what killed runs left, and what steps made that is no table and no
    registered model. Tables are left to `raypipe gc`."""
    tell_above: int | str = "1GB"
    """A run tells of what `raypipe gc` would release where that is more, and at least a third of what the store holds."""
    low_disk: int | str = "5GB"
    """Below so much free room on the store's disk (or a twentieth of it, whichever is less) runs and `raypipe gc` warn."""

    @property
    def grace_s(self) -> float:
        return seconds(self.grace)

    @property
    def tell_bytes(self) -> int:
        return num_bytes(self.tell_above)

    @property
    def low_bytes(self) -> int:
        return num_bytes(self.low_disk)


NAMES = tuple(field.name for field in fields(Retention))
_COUNTS = {"keep_last": 1, "versions": 0, "keep_runs": 0}
"""Each with the least that it may be."""
_SIZES = ("tell_above", "low_disk")


def retention(written: Json, where: str) -> tuple[Retention, list[Problem]]:
    """The policy that a table of raypipe.toml says, with everything that is wrong with it; `where` is what it stands in."""
    if not isinstance(written, Mapping):
        return Retention(), [Problem(where, 'expected settings, as in `keep_for = "30d"`.')]
    problems = list(_problems(written, where))
    return Retention() if problems else Retention(**written), problems


def _problems(written: Mapping[str, Json], where: str) -> Iterator[Problem]:
    for name, value in written.items():
        at = f"{where}.{name}"
        if name not in NAMES:
            yield Problem(at, f"is no setting of retention.{nearest(name, NAMES)}")
        elif name in _COUNTS and (isinstance(value, bool) or not isinstance(value, int) or value < _COUNTS[name]):
            yield Problem(at, f"found {value!r}, expected a whole number from {_COUNTS[name]} on.")
        elif name == "auto" and not isinstance(value, bool):
            yield Problem(at, f"found {value!r}, expected true or false.")
        elif name in _SIZES and read(value, BYTES) is None:
            yield Problem(at, f"found {value!r}, expected a size, e.g. 500MB, 1GB.")
        elif name not in (*_COUNTS, *_SIZES, "auto") and not _is_time(value):
            yield Problem(at, f"found {value!r}, expected a time with its unit, e.g. 12h, 30d.")


def _is_time(value: Json) -> bool:
    """A bare number is none: nobody would know whether it is days or seconds."""
    return isinstance(value, str) and value.strip()[-1:].isalpha() and read(value, SECONDS) is not None
