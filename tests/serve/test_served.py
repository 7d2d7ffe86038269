"""A loaded version: it proves itself before it answers, and answers as its bundle does."""

import dataclasses
import json

import pyarrow as pa
import pytest

from raypipe.core.errors import StoreError
from raypipe.serve.client import records
from raypipe.serve.desired import Desired, Limits
from raypipe.serve.refusal import Refused
from raypipe.serve.served import load_served
from tests.serve.conftest import flights


def test_what_it_says_of_the_model_comes_from_the_bundle(desired: Desired):
    served = load_served(desired)
    assert served.model == {"name": "flights", "version": 1, "run": "run-1", "snapshot": 12, "threshold": 0.4, "classes": ["false", "true"]}
    assert served.about["digest"] == desired.model.digest
    json.dumps(served.about)


def test_its_example_is_a_request_that_it_answers(desired: Desired):
    served = load_served(desired)
    example = served.example()
    assert example is not None
    assert served.answer(json.dumps([example]).encode()).num_rows == 1


def test_more_rows_than_allowed_are_refused(desired: Desired):
    served = load_served(dataclasses.replace(desired, limits=Limits(num_rows=2)))
    with pytest.raises(Refused) as caught:
        served.answer(json.dumps(records(flights(3))).encode())
    assert caught.value.status == 413


def test_a_digest_that_was_not_recorded_is_refused(desired: Desired):
    files = tuple(dataclasses.replace(file, sha256="0" * 64) for file in desired.model.files)
    with pytest.raises(StoreError, match="the bytes in the store are not what was recorded"):
        load_served(dataclasses.replace(desired, model=dataclasses.replace(desired.model, files=files)))


def test_the_same_rows_through_json_and_through_arrow_get_the_same_bits(desired: Desired):
    served, rows = load_served(desired), flights(200, seed=8)
    through_json = served.form.read(json.dumps(records(rows)).encode(), 1_000)
    assert through_json.equals(rows.cast(through_json.schema))
    assert served.bundle.predict(through_json).equals(served.bundle.predict(rows))
    assert pa.types.is_int32(through_json.schema.field("hour").type)
