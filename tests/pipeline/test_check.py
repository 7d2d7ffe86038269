"""What can be known to be wrong before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from raypipe.cli.main import main
from raypipe.pipeline.fingerprint import own_class
from raypipe.pipeline.plan import open_scene


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("evaluate.acu > 0.7", "execution.deploy.when: 'evaluate' has no figure 'acu'. Did you mean 'auc'?"),
        ("evaluate.auc > 0.7 and gate.pased", "execution.deploy.when: 'gate' has no figure 'pased'. Did you mean 'passed'?"),
        ("train.auc > 0.7", "There are: best_epoch, epochs, export_difference"),
        ("train.validation.auc > 0.7 and source.num_rows > 10 and register.version > 0", ""),
    ],
)
def test_a_figure_that_a_step_never_has(fresh: Path, capsys: pytest.CaptureFixture[str], when: str, says: str):
    code = main(["check", "-cd", "conf", f"+execution.deploy.when='{when}'"])
    out, err = capsys.readouterr()
    assert code == (2 if says else 0), out + err
    assert says in " ".join((out + err).split())


def test_a_step_has_no_figure_that_it_does_not_say(churn: Path):
    scene = open_scene(churn)
    said = {name: getattr(own_class(f"raypipe.steps.{name}.{kind}"), "figures", ()) for name, kind in STEPS.items()}
    for name, figures in said.items():
        artifact, _ = scene.ledger.nearest("churn", name) or (None, None)
        assert artifact is not None
        assert set(artifact.figures) <= set(figures), name


STEPS = {
    "train": "Train",
    "evaluate": "Evaluate",
    "gate": "Gate",
    "register": "Register",
    "infra_validate": "InfraValidate",
    "deploy": "Deploy",
}
