"""A full disk below Ray's memory is named, wherever in a chain of errors Ray says so."""

import re

import pytest
import ray
from ray.exceptions import OutOfDiskError

from raypipe.core.errors import DataError, StepFailed
from raypipe.core.spill import told
from raypipe.core.transient import is_transient


def test_a_full_disk_is_named_with_its_size_and_what_to_do(ray_cluster):
    @ray.remote
    def full() -> None:
        raise OutOfDiskError("Local disk is full")

    def call() -> None:
        try:
            ray.get(full.remote())
        except OutOfDiskError as error:
            raise DataError("function f raised something") from error

    with pytest.raises(StepFailed) as caught, told("function f"):
        call()
    session = re.escape(ray.get_runtime_context().get_session_name())
    where = rf"the disk that Ray moves them to is full: /\S*{session}, [\d.]+ [GT]B in all"
    said = rf"function f: its rows do not fit into Ray's object store \([\d.]+ GB\), and {where}"
    assert re.match(said, str(caught.value))
    assert "RAY_object_spilling_directory" in str(caught.value)
    assert not is_transient(caught.value)


def test_another_error_is_left_as_it_is(ray_cluster):
    with pytest.raises(DataError, match="column 'x' is not there"), told("function f"):
        raise DataError("column 'x' is not there")
