"""Times and sizes as a person writes them in a config: a number, or a number with its unit."""

from __future__ import annotations

import re
from collections.abc import Mapping

from raypipe.core.artifact import Json

SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"": 1.0, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def seconds(value: float | str) -> float:
    """`5`, `5s`, `10m`, `2h`, `30d` in seconds."""
    found = read(value, SECONDS)
    assert found is not None, "times are checked before"
    return found


def num_bytes(value: int | str) -> int:
    """`512MiB`, `4GB` in bytes."""
    found = read(value, BYTES)
    assert found is not None, "sizes are checked before"
    return int(found)


def read(value: Json, units: Mapping[str, float]) -> float | None:
    """None where it is no number of such a unit, or a negative one."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if value >= 0 else None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
    unit = units.get(match[2]) if match else None
    return None if match is None or unit is None else float(match[1]) * unit
