"""Problems of plain values: what a config from Python's side would be told."""

from raypipe.config.problems import problems_of

GOOD = {
    "name": "p",
    "source": {"_target_": "raypipe.Csv", "path": "d"},
    "ingest": {"table": "rows", "changed": "replace"},
    "contract": {"_target_": "raypipe.Contract", "columns": {"a": {"type": "int64", "min": 0, "allowed": [1, 2]}}},
    "label": "y",
    "model": {"_target_": "raypipe.Booster", "learning_rate": 1},
    "split": {"by": "hash", "key": "a", "validation": 0},
    "transform": {"table": "split", "scale": {"_target_": "raypipe.Standardize", "columns": ["a"]}, "gone": None},
    "gate": None,
    "register": {"promote": True},
    "evaluate": {},
    "steps": {"more": {"_target_": "raypipe.Label", "column": "y", "sql": "a > 1"}, "gone": None},
    "cluster": {"_target_": "raypipe.Debug"},
    "tracker": None,
}


def test_a_good_config_has_none():
    assert problems_of(GOOD, ()) == []


def test_each_is_at_its_key():
    bad = {
        **GOOD,
        "source": {"_target_": "raypipe.Csv"},
        "ingest": {"table": 3},
        "model": {"_target_": 5},
        "transform": {"label": "y"},
        "evaluate": {"slices": "carrier"},
        "nmae": "p",
    }
    assert {p.where: p.what for p in problems_of(bad, ())} == {
        "nmae": "unknown. Did you mean 'name'?",
        "ingest.table": "found 3, expected text or null.",
        "source.path": "missing: Csv needs 'path' (str).",
        "model": "has no _target_: name the import path of a class or function, e.g. _target_: raypipe.Csv.",
        "transform.label": "is set by the key `label` at the top level.",
        "evaluate.slices": "found 'carrier', expected a list of text.",
    }


def test_nodes_within_settings_are_checked_too():
    ingest = {"_target_": "raypipe.Ingest", "source": {"_target_": "raypipe.Csv", "pth": "x"}, "table": "t"}
    assert {p.where for p in problems_of({**GOOD, "steps": {"w": ingest}}, ())} == {"steps.w.source.pth", "steps.w.source.path"}


def test_a_function_of_the_users_in_a_transform_under_steps_gets_the_rows_as_it_does_in_the_slot(tmp_path):
    (tmp_path / "own.py").write_text("def seen(table, by: int): ...\n")
    entries = {"own": {"_target_": "own.seen", "byy": 1}, "scale": {"_target_": "raypipe.Standardize"}}
    step = {"_target_": "raypipe.Transform", "table": "split", "entries": entries}
    found = {p.where: p.what for p in problems_of({**GOOD, "steps": {"more": step}}, [tmp_path])}
    assert found == {
        "steps.more.entries.own.byy": "unknown: own.seen takes no 'byy'. Did you mean 'by'?",
        "steps.more.entries.own.by": "missing: own.seen needs 'by' (int).",
        "steps.more.entries.scale.columns": "missing: Standardize needs 'columns' (list[str]).",
    }
