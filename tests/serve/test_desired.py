"""The desired state as JSON, and what counts as a change of it."""

import dataclasses
import json

import pytest

from raypipe.core.errors import ConfigError
from raypipe.serve.desired import Desired, Limits, check


def test_it_goes_through_json_unchanged(desired: Desired):
    assert Desired.from_json(json.loads(json.dumps(desired.to_json()))) == desired


def test_only_what_a_replica_must_load_or_set_changes_the_mark(desired: Desired):
    assert dataclasses.replace(desired, num_replicas=3, num_cpus=0.5).mark == desired.mark
    assert dataclasses.replace(desired, version=2).mark != desired.mark
    assert dataclasses.replace(desired, limits=Limits(num_rows=5)).mark != desired.mark


def test_every_setting_out_of_range_is_named(desired: Desired):
    with pytest.raises(ConfigError) as caught:
        check(dataclasses.replace(desired, num_replicas=0, limits=Limits(body_wait_s=0)))
    assert str(caught.value) == "num_replicas: found 0, expected at least 1\nlimits.body_wait_s: found 0, expected at least 0.01"
