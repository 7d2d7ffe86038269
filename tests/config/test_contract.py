"""Contracts in a config: an option of the group `contract`, or a pandera schema of the project's."""

import pytest

from raypipe.config.compose import compose
from raypipe.core.errors import ConfigError

SCHEMA = """
import pandera.pandas as pa

CUSTOMERS = pa.DataFrameSchema({"age": pa.Column(int, pa.Check.ge(0))}, strict=True)
CODE = pa.DataFrameSchema({"age": pa.Column(int, pa.Check(lambda x: x > 0, name="mine"))})
NUMBER = 3
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "conf" / "contract").mkdir(parents=True)
    (tmp_path / "conf" / "contract" / "customers.yaml").write_text("columns: {age: {type: int64, min: 0}}\n")
    (tmp_path / "schemas_of_a_test.py").write_text(SCHEMA)
    return tmp_path


def composed(project, text, *overrides):
    (project / "conf" / "p.yaml").write_text(f"name: p\nsource: {{_target_: raypipe.Csv, path: a.csv}}\n{text}")
    return compose(project / "conf", "p", overrides).values


def test_a_contract_is_an_option_of_a_group(project):
    values = composed(project, "defaults: [pipeline, {contract: customers}, _self_]\n", "contract.columns.age.max=120")
    assert values["contract"] == {"_target_": "raypipe.Contract", "columns": {"age": {"type": "int64", "min": 0, "max": 120}}}


def test_a_pandera_schema_is_a_contract(project):
    pytest.importorskip("pandera")
    values = composed(project, "contract: {_target_: schemas_of_a_test.CUSTOMERS}\n")
    assert values["contract"] == {
        "_target_": "raypipe.Contract",
        "columns": {"age": {"type": "int64", "nulls": False, "min": 0}},
        "min_rows": 0,
    }


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("schemas_of_a_test.CODE", "contract.columns.age: the check mine is code that has no equal"),
        ("schemas_of_a_test.NUMBER", "schemas_of_a_test.NUMBER is no pandera DataFrameSchema or DataFrameModel"),
        ("json.dumps", "there is no module 'json' in the project"),
    ],
)
def test_what_is_no_contract_is_told(project, target, text):
    pytest.importorskip("pandera")
    with pytest.raises(ConfigError) as error:
        composed(project, f"contract: {{_target_: {target}}}\n")
    assert text in str(error.value)
