"""Which errors are worth another try."""

from __future__ import annotations

import errno

import pytest

from raypipe.core.errors import ClusterError, ConfigError, DataError, StepFailed, StoreError, TimedOut
from raypipe.core.transient import is_transient


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def marked(error: DataError) -> DataError:
    error.transient = True
    return error


@pytest.mark.parametrize(
    "error",
    [
        ClusterError("no answer"),
        TimedOut("too long"),
        ConnectionResetError("peer"),
        OSError(errno.ETIMEDOUT, "timed out"),
        marked(DataError("a.csv: the worker process ended 2 times")),
        caused(StepFailed("step failed"), TimeoutError("read")),
        caused(StoreError("cannot be written"), OSError("AWS Error INTERNAL_FAILURE")),
    ],
)
def test_what_may_be_gone(error: Exception):
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("wrong"),
        DataError("wrong"),
        ConfigError("wrong"),
        FileNotFoundError(errno.ENOENT, "not there"),
        caused(StepFailed("step failed"), ValueError("wrong")),
        StoreError("its bytes are not those that were recorded"),
        caused(StoreError("cannot be written"), OSError(errno.ENOSPC, "no space left on device")),
    ],
)
def test_what_stays_wrong(error: Exception):
    assert not is_transient(error)


def test_rays_own_errors_are_told_from_those_of_the_code_that_it_ran():
    from ray.exceptions import NodeDiedError, RayTaskError, WorkerCrashedError

    assert is_transient(caused(StepFailed("a"), WorkerCrashedError()))
    assert is_transient(NodeDiedError("gone"))
    assert not is_transient(RayTaskError("f", "trace", ValueError("wrong")))
    assert is_transient(RayTaskError("f", "trace", ConnectionError("reset")))
