"""References: put in place, or said to mean nothing."""

import pytest

from raypipe.config.reference import has_references, resolved


def test_values_keep_their_type():
    written = {"a": {"b": 3, "c": [1, "${a.b}"]}, "d": "${a.c}", "e": "x${a.b}", "f": "${top.g}", "h": "\\${plain}"}
    values, problems = resolved(written, {"top": {"g": True}})
    assert (values, problems) == ({"a": {"b": 3, "c": [1, 3]}, "d": [1, 3], "e": "x3", "f": True, "h": "${plain}"}, [])
    assert has_references(written)
    assert not has_references({"a": ["b", {"c": 1}]})


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("${b}", "'${b}': there is no 'b' in the config."),
        ("${aa}", "'${aa}': there is no 'aa' in the config. Did you mean 'a'?"),
        ("${a", "'${a' is no reference that can be read: expected ${key} or ${oc.env:NAME}; write \\${ for the plain characters."),
        ("${other}", "'${other}': what it refers to has no value yet."),
    ],
)
def test_what_means_nothing(written: str, what: str):
    _, problems = resolved({"a": written, "other": "???"}, {})
    assert [(p.where, p.what) for p in problems] == [("a", what)]
