"""What a step's failure, another run's lease and a user's error become."""

from pathlib import Path

import pytest

from raypipe.cli.main import main
from raypipe.pipeline.plan import open_scene

MINE = """\
import pyarrow as pa


def broken(table: pa.Table) -> pa.Table:
    raise ValueError("the moon is in the way")
"""


def test_what_a_users_function_raises_is_told_with_its_line_and_without_a_traceback(churn: Path, capsys: pytest.CaptureFixture[str]):
    (churn / "mine.py").write_text(MINE)
    assert main(["run", "cluster=debug", "+steps.extra={_target_: mine.broken, table: source}"]) == 1
    err = capsys.readouterr().err
    assert "the moon is in the way" in err
    assert "line 5" in err
    assert "Traceback (most recent call last)" not in err


def test_nothing_of_a_failed_step_is_visible(churn: Path, capsys: pytest.CaptureFixture[str]):
    (churn / "mine.py").write_text(MINE)
    main(["run", "cluster=debug", "+steps.extra={_target_: mine.broken, table: source}"])
    capsys.readouterr()
    assert main(["tables"]) == 0
    assert "churn.extra" not in capsys.readouterr().out


def test_a_failed_step_gives_its_lease_back(churn: Path, capsys: pytest.CaptureFixture[str]):
    (churn / "mine.py").write_text(MINE)
    for _ in range(2):
        assert main(["run", "cluster=debug", "--no-wait", "+steps.extra={_target_: mine.broken, table: source}"]) == 1


def test_no_wait_leaves_with_75_and_says_who_holds_the_step(churn: Path, capsys: pytest.CaptureFixture[str]):
    from tests.pipeline.test_plan import plan_of

    (step,) = [s for s in plan_of(churn, "train.seed=2").steps if s.name == "train"]
    assert step.fingerprint
    lease = open_scene(churn).ledger.claim(step.fingerprint, "another-run")
    assert lease.token == 1
    assert main(["run", "--no-wait", "cluster=debug", "train.seed=2"]) == 75
    assert "another-run" in capsys.readouterr().err
