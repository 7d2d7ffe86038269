from datetime import date
from functools import partial

import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError
from raypipe.pipeline.lower import import_path, lower


def two(table, factor: int):
    return table


def test_a_dataclass_becomes_its_import_path_and_what_differs_from_its_defaults():
    assert lower(rp.Booster(num_leaves=31)) == {"_target_": "raypipe.train.model.Booster", "num_leaves": 31}


def test_dates_tuples_and_nested_values():
    assert lower({"from": date(2013, 10, 1), "of": (1, rp.Select(["a"]))}) == {
        "from": "2013-10-01",
        "of": [1, {"_target_": "raypipe.data.transform.entry.Select", "columns": ["a"]}],
    }


def test_a_function_and_a_partial():
    assert lower(partial(two, factor=2)) == {"_target_": import_path(two), "factor": 2}


def test_a_lambda_has_no_import_path():
    with pytest.raises(ConfigError, match="define it at the top level of a module"):
        lower(lambda table: table)


def test_positional_arguments_of_a_partial_are_refused():
    with pytest.raises(ConfigError, match="by name"):
        lower(partial(two, None))


def test_an_object_that_no_json_can_say_again():
    with pytest.raises(ConfigError, match="a object cannot be part of a pipeline"):
        lower(object())
