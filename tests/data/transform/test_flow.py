"""What is known of a chain's columns before anything runs."""

from raypipe.core.step import Columns
from raypipe.data.transform.derive import Derive
from raypipe.data.transform.encoding import OneHot, Ordinal
from raypipe.data.transform.entry import Drop, Select
from raypipe.data.transform.flow import check, columns_after
from raypipe.data.transform.function import Function
from raypipe.data.transform.hashing import HashEncode
from raypipe.data.transform.imputing import Impute
from raypipe.data.transform.scaling import Standardize
from raypipe.data.transform.target import TargetEncode

FLIGHTS = Columns(
    ("carrier", "distance", "arr_delay", "late"),
    {"carrier": "string", "distance": "int64", "arr_delay": "float64", "late": "bool"},
    frozenset({"arr_delay", "late"}),
    label="late",
)


def told(entries, columns=FLIGHTS):
    return [str(problem) for problem in check(entries, columns)]


def test_names_types_and_marks_follow_the_columns():
    after = columns_after({"out": Drop(["arr_delay"]), "code": Ordinal(["carrier"]), "scale": Standardize(["distance"])}, FLIGHTS)
    assert after.names == after.features == ("carrier", "distance")
    assert after.types == {"carrier": "int32", "distance": "float32"}
    assert after.known_afterwards == frozenset()


def test_what_only_the_data_tells_leaves_names_unknown_but_marks_by_name():
    after = columns_after({"hot": OneHot(["carrier"])}, FLIGHTS)
    assert after.names is None
    assert after.known_afterwards == {"arr_delay"}
    assert columns_after({"f": Function("m.f")}, FLIGHTS).known_afterwards == {"arr_delay"}


def test_a_sound_chain_has_no_problem():
    assert told({"keep": Select(["carrier", "distance"]), "hot": OneHot(["carrier"]), "few": Select(["distance", "carrier=AA"])}) == []


def test_an_entry_that_names_a_column_known_afterwards_is_told():
    (text,) = told({"scale": Standardize(["distance", "arr_delay"])})
    assert text == "transform.scale: 'arr_delay' is known only afterwards (by the contract): it cannot be an input of the model."


def test_a_column_known_afterwards_that_would_become_a_feature_is_told():
    (text,) = told({"scale": Standardize(["distance"])})
    assert text.startswith("transform: 'arr_delay' is known only afterwards")
    assert text.endswith("Leave it out with Select or Drop.")


def test_a_function_that_would_get_a_column_known_afterwards_is_told():
    (text,) = told({"f": Function("m.f"), "out": Drop(["arr_delay"])})
    assert text.startswith("transform.f: 'arr_delay' is known only afterwards")
    assert told({"f": Function("m.f", takes=["distance"], gives=["far"]), "out": Drop(["arr_delay"])}) == []


def test_dropped_first_it_may_be_there():
    assert told({"out": Drop(["arr_delay"]), "f": Function("m.f"), "scale": Standardize(["anything"])}) == []


def test_the_label_is_no_column_of_the_chain():
    texts = told({"keep": Select(["distance", "late"])})
    assert texts == ["transform.keep: no column 'late'. Valid: arr_delay, carrier, distance."]


def test_misspelt_columns_and_wrong_types_are_told_all_at_once():
    texts = told({"keep": Select(["distanse"]), "scale": Standardize(["distance"])})
    assert texts == ["transform.keep: no column 'distanse'. Did you mean 'distance'?", "transform.scale: no column 'distance'."]
    texts = told({"out": Drop(["arr_delay"]), "scale": Standardize(["carrier"]), "fill": Impute(["distance"], "constant", "far")})
    assert texts == [
        "transform.scale: column 'carrier' is string, expected a number",
        "transform.fill: column 'distance' is int64, value is 'far': expected a value of the column's type",
    ]


def test_behind_one_hot_its_own_columns_may_be_named_and_no_others():
    texts = told({"out": Drop(["arr_delay"]), "hot": OneHot(["carrier"]), "few": Select(["carrier=AA", "carrier"])})
    assert texts == ["transform.few: no column 'carrier'. Valid: distance."]


def test_of_an_unknown_table_only_the_settings_are_judged():
    assert told({"scale": Standardize(["whatever"])}, Columns(None)) == []
    assert told({"scale": Standardize([])}, Columns(None)) == ["transform.scale: columns is empty, expected at least one column name"]


def test_columns_that_settings_name_stand_in_the_place_of_those_they_are_made_of():
    after = columns_after({"out": Drop(["arr_delay"]), "hash": HashEncode(["carrier"], 2), "scale": Standardize(["carrier#1"])}, FLIGHTS)
    assert after.names == ("carrier#0", "carrier#1", "distance")
    assert after.types == {"carrier#0": "int8", "carrier#1": "float32", "distance": "int64"}
    texts = told({"out": Drop(["arr_delay"]), "hash": HashEncode(["carrier"], 2), "few": Select(["carrier#2", "distance"])})
    assert texts == ["transform.few: no column 'carrier#2'. Did you mean 'carrier#1'?"]


def test_a_key_is_a_column_like_any_other():
    texts = told({"mean": TargetEncode(["carrier"], ["flight", "arr_delay"]), "out": Drop(["arr_delay"])})
    assert texts == [
        "transform.mean: no column 'flight'. Valid: arr_delay, carrier, distance.",
        "transform.mean: 'arr_delay' is known only afterwards (by the contract): it cannot be an input of the model.",
    ]


def test_an_expression_that_is_none_is_told_at_its_place_and_what_follows_is_asked_no_more():
    entries = {"d": Derive({"x": "age +"}), "s": Standardize(["x"])}
    columns = Columns(("age",), {"age": "int64"})
    assert [p.where for p in check(entries, columns)] == ["transform.d"]
    assert columns_after(entries, columns).names is None
