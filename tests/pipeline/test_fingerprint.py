from pathlib import Path

from raypipe.pipeline.assemble import assemble
from raypipe.pipeline.fingerprint import fingerprint, identity, identity_edges, own_identity
from raypipe.pipeline.node import Node

LIFE = {
    "name": "p",
    "source": {"_target_": "raypipe.Csv", "path": "x.csv"},
    "split": {"by": "hash", "key": "k"},
    "label": "y",
    "model": {"_target_": "raypipe.Logistic"},
}


def train(kind: str, **settings) -> str:
    values = {**LIFE, "model": {"_target_": f"raypipe.{kind}", **settings.pop("model", {})}, "train": settings}
    return fingerprint(own_identity(assemble(values, ()).nodes["train"], ()))


def test_a_setting_changes_it_and_its_default_written_out_does_not():
    assert train("Booster") == train("Booster", epochs=5) != train("Booster", epochs=6)


def test_how_fast_it_runs_bears_no_identity():
    assert train("Booster") == train("Booster", model={"num_threads": 1})


def test_a_model_that_fits_at_once_takes_no_epochs():
    assert train("Logistic", epochs=9) == train("Logistic")


def test_an_edge_that_only_orders_bears_no_identity():
    made = assemble({**LIFE, "contract": {"_target_": "raypipe.Contract", "columns": {"k": {"type": "int64"}}}}, ())
    assert identity_edges(made.nodes["split"]) == ["table"]


def test_what_a_contract_only_judges_is_no_part_of_the_rows():
    def source(**column):
        contract = {"_target_": "raypipe.Contract", "columns": {"k": {"type": "int64", **column}}}
        return fingerprint(own_identity(assemble({**LIFE, "contract": contract}, ()).nodes["source"], ()))

    assert source() == source(min=1)
    assert source() != source(known="afterwards")
    assert source() != source(min=1, on_breach="drop")


def test_code_of_the_users_by_what_it_says_not_by_how_it_is_written(tmp_path: Path):
    def of(text: str) -> str:
        (tmp_path / "mine.py").write_text(text)
        return fingerprint(own_identity(Node("mine.f", {}, {}), (tmp_path,)))

    helper = "def g(x):\n    return x + 1\n\n"
    first = of(helper + "def f(t):\n    return g(t)\n")
    assert of("# a word\n" + helper + "def f(t):\n    '''Says what.'''\n    return g( t )\n") == first
    assert of(helper.replace("1", "2") + "def f(t):\n    return g(t)\n") != first


def test_inputs_and_what_was_observed_are_part_of_it():
    own = {"settings": {}}
    prints = {fingerprint(identity(own, inputs, seen)) for inputs in ({"t": "a"}, {"t": "b"}) for seen in (None, {"files": 1})}
    assert len(prints) == 4
