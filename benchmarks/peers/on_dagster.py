"""Dagster: software-defined assets materialised in this process, values and events kept in memory: nothing slower is asked of it.

It has no cache in the process: what is unchanged is materialised again.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import dagster
from asked import answer

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def asset(name: str, reads: str | None, by: int) -> Any:
    if reads is None:

        @dagster.asset(name=name)
        def first() -> int:
            return 0

        return first

    @dagster.asset(name=name, ins={"number": dagster.AssetIn(reads)})
    def add(number: int) -> int:
        return number + by

    return add


@cache
def assets(shape: str, number: int) -> list[Any]:
    if shape == "chain":
        return [asset(f"s{i}", f"s{i - 1}" if i else None, 1) for i in range(number)]
    return [asset("first", None, 0), *(asset(f"s{i}", "first", i) for i in range(number))]


def run(shape: str, number: int, folder: str) -> int:
    with dagster.DagsterInstance.ephemeral() as instance:
        resources = {"io_manager": dagster.mem_io_manager}
        made = dagster.materialize(assets(shape, number), instance=instance, resources=resources, run_config=QUIET)
        return made.output_for_node(f"s{number - 1}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    answer(run)
