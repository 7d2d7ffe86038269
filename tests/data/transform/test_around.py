"""What goes round a chain: columns that no entry touches, as they are."""

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.contract.contract import Contract
from raypipe.data.split import rule
from raypipe.data.transform.around import Around, as_text, fitted_to, touched
from raypipe.data.transform.chain import Chain
from raypipe.data.transform.derive import Derive
from raypipe.data.transform.encoding import OneHot
from raypipe.data.transform.entry import Drop, Select
from raypipe.data.transform.function import Function
from raypipe.data.transform.scaling import Standardize

ROWS = pa.table({"a": [1.0, 2.0, 3.0], "t": ["x", "y", "x"], "u": ["p", "q", "p"], "n": [1, 2, 3]})


def around(**entries) -> Around:
    return Around.of(Chain(entries).fit(ROWS.schema, lambda stage: [stage(ROWS.select(stage.columns))]))


def test_columns_that_no_entry_touches_are_those_of_the_input():
    found = around(twice=Derive({"b": "a * 2"}), scale=Standardize(["n"]), few=Select(["u", "b", "n"]))
    assert found.passes(ROWS.schema) == ["t", "u"]
    made = found.apply(ROWS)
    assert made.column_names == ["u", "b", "n", "a", "t"]
    assert made.schema.types == [pa.string(), pa.float64(), pa.float32(), pa.float64(), pa.string()]
    assert made.column("u").chunk(0).buffers()[1].address == ROWS.column("u").chunk(0).buffers()[1].address


@pytest.mark.parametrize("entries", [{}, {"few": Select(["t"])}, {"out": Drop(["t"])}, {"hot": OneHot(["t"])}])
def test_it_makes_what_the_chain_makes_of_all_columns(entries):
    chain = Chain(entries).fit(ROWS.schema, lambda stage: [stage(ROWS.select(stage.columns))])
    found = Around.of(chain).apply(ROWS)
    assert found.select(chain.features.names).equals(chain.apply(ROWS))
    for row in range(3):
        assert Around.of(chain).apply(ROWS.slice(row, 1)).select(chain.features.names).equals(chain.apply(ROWS.slice(row, 1)))


def test_a_function_without_takes_touches_everything():
    assert touched({"f": Function("m.f"), "scale": Standardize(["n"])}) is None
    assert touched({"f": Function("m.f", takes=["a"]), "scale": Standardize(["n"]), "out": Drop(["u"])}) == {"a", "n"}


def test_a_column_by_which_rows_are_split_stays_as_it_is():
    split = rule("hash", key="n", validation=0.2, test=0.2)
    around(scale=Standardize(["a"])).apply(ROWS, split)
    with pytest.raises(DataError, match="the transform changes column 'n', by which the rows are split"):
        around(scale=Standardize(["n"])).apply(ROWS, split)


def test_a_contract_takes_codes_for_the_text_that_they_stand_for():
    coded = ROWS.set_column(1, "t", ROWS["t"].dictionary_encode())
    contract = Contract({"t": {"type": "string"}, "u": {"type": "string"}, "a": {"type": "float64"}, "n": {"type": "int64"}})  # type: ignore[dict-item]
    found = fitted_to(contract, coded, ["t", "u"])
    assert found.column_names == ["t", "u", "a", "n"]
    assert pa.types.is_dictionary(found.schema.field("t").type)
    assert as_text(found.schema, ["t", "u"]) == contract.fit(ROWS).schema
    wide = Contract({"t": {"type": "large_string"}}, exact=False)  # type: ignore[dict-item]
    assert fitted_to(wide, coded, ["t"])["t"].to_pylist() == ["x", "y", "x"]
    with pytest.raises(DataError, match="column 't' is string, the contract says int64"):
        fitted_to(Contract({"t": {"type": "int64"}}, exact=False), coded, ["t"])  # type: ignore[dict-item]
