"""Prefect: tasks in the flow's process, results cached by inputs and source on disk, its API and database started beside it."""

# pyright: reportMissingImports=false

from __future__ import annotations

import os
import tempfile

from asked import answer

os.environ |= {
    "PREFECT_HOME": tempfile.mkdtemp(prefix="prefect-"),
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
}

from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE


@task(cache_policy=INPUTS + TASK_SOURCE, persist_result=True)
def first(folder: str) -> int:
    return 0


@task(cache_policy=INPUTS + TASK_SOURCE, persist_result=True)
def add(number: int, by: int, folder: str) -> int:
    return number + by


@flow
def chain(number: int, folder: str) -> int:
    value = first(folder)
    for _ in range(1, number):
        value = add(value, 1, folder)
    return value


@flow
def fan(number: int, folder: str) -> int:
    value = first(folder)
    return [made.result() for made in [add.submit(value, by, folder) for by in range(number)]][-1]


def run(shape: str, number: int, folder: str) -> int:
    """The folder is an argument of each task: what is made in another one is made anew."""
    return (chain if shape == "chain" else fan)(number, folder)


if __name__ == "__main__":
    answer(run)
