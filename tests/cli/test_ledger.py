"""What runs cost, as a person sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raypipe.cli.main import main


def values(capsys: pytest.CaptureFixture[str], *arguments: str):
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_a_run_cost_and_what_the_cache_saved(churn: Path, capsys: pytest.CaptureFixture[str]):
    (first,) = values(capsys, "runs", "--cost")
    assert first["cost"]["cpu_s"] > 0.1
    assert first["cost"]["written_bytes"] > 1000
    assert first["saved"]["cpu_s"] == 0
    main(["run", "-cd", "conf", "cluster=debug", "model.C=0.01"])
    second, _ = values(capsys, "runs", "--cost")
    steps = {step["step"]: step["cost"] for step in values(capsys, "show", first["run"])["steps"]}
    assert second["saved"]["cpu_s"] == pytest.approx(sum(steps[name]["cpu_s"] for name in ("source", "validate", "split", "transform")))
    assert second["saved"]["peak_bytes"] > 1 << 20
    assert main(["show", second["run"]]) == 0
    text = capsys.readouterr().out
    assert "peak memory" in text
    assert " B" in text or "B " in text
