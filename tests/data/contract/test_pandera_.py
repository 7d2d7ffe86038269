"""pandera schemas as contracts: they refuse the same rows, and what has no equal is refused by name."""

import numpy as np
import pyarrow as pa
import pytest

pandera = pytest.importorskip("pandera.pandas")
pd = pytest.importorskip("pandas")

from raypipe.core.errors import ConfigError  # noqa: E402
from raypipe.data.contract.contract import Contract  # noqa: E402
from raypipe.data.contract.examine import examine  # noqa: E402
from raypipe.data.contract.reasons import Place  # noqa: E402

Check = pandera.Check
FRAME = pd.DataFrame({"n": [1, 5, 9, 12], "s": ["ab", "abc", "x1", ""], "f": [0.0, 0.5, float("nan"), 2.0]})


def broken_by(contract, frame):
    rows = contract.fit(pa.Table.from_pandas(frame, preserve_index=False).select(list(contract.columns)))
    seen = examine(contract, rows, Place("f", np.arange(1, rows.num_rows + 1)))
    return sum(finding["figure"] for finding in seen.findings)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("n", Check.ge(5)),
        ("n", Check.le(9)),
        ("n", Check.gt(5)),
        ("n", Check.lt(9)),
        ("n", Check.in_range(1, 9)),
        ("n", Check.in_range(1, 9, include_min=False, include_max=False)),
        ("n", Check.isin([1, 5])),
        ("n", Check.notin([1, 5])),
        ("n", Check.eq(5)),
        ("n", Check.ne(5)),
        ("f", Check.gt(0.25)),
        ("f", Check.ne(0.5)),
        ("s", Check.str_matches("[a-z]+")),
        ("s", Check.str_matches("^[a-z]+$")),
        ("s", Check.str_contains("b|1")),
        ("s", Check.str_startswith("ab")),
        ("s", Check.str_endswith("1")),
        ("s", Check.str_length(1, 2)),
        ("s", Check.notin(["ab"])),
    ],
    ids=lambda part: str(part) if not isinstance(part, str) else part,
)
def test_a_check_finds_the_same_rows(name, check):
    kind = {"n": int, "s": str, "f": float}[name]
    schema = pandera.DataFrameSchema({name: pandera.Column(kind, check, nullable=True)})
    contract = Contract.of(schema)
    assert contract.problems() == []
    with pytest.raises(pandera.errors.SchemaErrors) as error:
        schema.validate(FRAME[[name]], lazy=True)
    assert broken_by(contract, FRAME[[name]]) == len(error.value.failure_cases)


def test_a_model_is_a_schema_and_settings_of_the_whole_come_along():
    class Flights(pandera.DataFrameModel):
        n: int = pandera.Field(unique=True, ge=0)
        s: str = pandera.Field(nullable=True, raise_warning=True, str_length={"exact_value": 3})

        class Config:
            strict = True
            unique = ["n", "s"]

    contract = Contract.of(Flights)
    assert (contract.exact, contract.unique, contract.columns["n"].unique) == (True, [["n", "s"]], True)
    assert (contract.columns["s"].min_length, contract.columns["s"].max_length) == (3, 3)
    assert contract.columns["s"].breach("min_length") == "warn"
    assert contract.columns["n"].nulls is False


def test_rows_that_a_schema_drops_are_dropped():
    schema = pandera.DataFrameSchema({"n": pandera.Column(int, [Check.ge(5), Check.lt(10)])}, drop_invalid_rows=True)
    contract = Contract.of(schema)
    seen = examine(contract, pa.table({"n": [1, 5, 12]}), Place("f", np.arange(3)))
    assert seen.kept["n"].to_pylist() == schema.validate(pd.DataFrame({"n": [1, 5, 12]}), lazy=True)["n"].tolist() == [5]


def test_types_of_pandas_and_of_polars():
    pl = pytest.importorskip("polars")
    from pandera import polars as of_polars

    kinds = {"a": "int32", "b": "Int64", "c": bool, "d": "datetime64[us, UTC]", "e": "float32", "f": "string"}
    contract = Contract.of(pandera.DataFrameSchema({name: pandera.Column(kind) for name, kind in kinds.items()}))
    assert [c.type for c in contract.columns.values()] == ["int32", "int64", "bool", "timestamp[us, tz=UTC]", "float32", "string"]
    kinds = {"a": pl.Int8, "b": pl.String, "c": pl.Date, "d": pl.Datetime("ms"), "e": pl.Decimal(9, 2), "f": pl.Categorical}
    contract = Contract.of(
        of_polars.DataFrameSchema({name: of_polars.Column(kind, of_polars.Check.gt(0)) for name, kind in kinds.items() if name == "a"})
    )
    assert (contract.columns["a"].type, list(contract.rules)) == ("int8", ["a_above"])
    contract = Contract.of(of_polars.DataFrameSchema({name: of_polars.Column(kind) for name, kind in kinds.items()}))
    assert [c.type for c in contract.columns.values()] == ["int8", "string", "date32", "timestamp[ms]", "decimal128(9, 2)", "string"]


def test_everything_without_an_equal_is_refused_by_name():
    schema = pandera.DataFrameSchema(
        {
            "f": pandera.Column(float, Check(lambda x: x > 0, name="mine"), required=False),
            "o": pandera.Column(),
            "t": pandera.Column("datetime64[ns]", Check.gt(pd.Timestamp("2026-01-01"))),
        },
        checks=Check(lambda frame: True),
        index=pandera.Index(int),
        ordered=True,
        strict="filter",
    )
    with pytest.raises(ConfigError) as error:
        Contract.of(schema)
    assert [(p.where, p.what.split(":")[0]) for p in error.value.problems] == [
        ("index", "an index has no equal"),
        ("ordered", "the order of columns is not judged"),
        ("checks", "a check of the whole frame is code"),
        ("strict", "filter leaves columns out, which a contract does not"),
        ("columns.f", "required"),
        ("columns.f", "the check mine is code that has no equal"),
        ("columns.o", "no type"),
        ("columns.t", "a bound that is itself left out has no equal for timestamp[ns]"),
    ]
