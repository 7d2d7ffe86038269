"""Overrides: read one by one, set in a plain config."""

from raypipe.config.override import apply, merged, parse, said


def test_good_ones_are_read_and_bad_ones_are_named():
    parsed, problems = parse(["a=1", "b=", "c==", "~d", "+e=[1,2]"])
    assert [o.key_or_group for o in parsed] == ["a", "b", "d", "e"]
    assert [p.where for p in problems] == ["c=="]


def test_what_it_says_under_the_keys_of_the_config():
    (override,), _ = parse(["a.b=[1,x]"])
    assert said(override) == {"a": {"b": [1, "x"]}}


def test_setting_merging_and_taking_out():
    config = {"a": {"b": 1, "c": {"d": 2}}, "e": [1, 2], "f": {"g": None}}
    for text in ("a.b=3", "a.c={x:1}", "~a.c.d", "e.1=5", "~e.0", "f.g.h=1"):
        (override,), _ = parse([text])
        assert apply(config, override) == []
    assert config == {"a": {"b": 3, "c": {"x": 1}}, "e": [5], "f": {"g": {"h": 1}}}


def test_nothing_is_built_below_a_value():
    (override,), _ = parse(["a.b.c=3"])
    assert [str(p) for p in apply({"a": {"b": 1}}, override)] == ["a.b.c: 'a.b' is 1: it has no settings."]


def test_what_is_left_out_does_not_come_back_with_one_of_its_settings():
    config = {"train": None, "steps": {"joined": None}}
    for text, advice in (("train.epochs=3", "train={...}"), ("steps.joined.on=id", "steps.joined={...}")):
        (override,) = parse([text])[0]
        (problem,) = apply(config, override)
        assert "leaves it out" in problem.what
        assert problem.what.endswith(f"write {advice}.")
    assert config == {"train": None, "steps": {"joined": None}}


def test_merging_keeps_what_a_missing_value_would_replace():
    assert merged({"a": {"b": 1}, "c": [1]}, {"a": {"d": 2, "b": "???"}, "c": [2], "e": "???"}) == {
        "a": {"b": 1, "d": 2},
        "c": [2],
        "e": "???",
    }
