"""The policy as a person writes it into raypipe.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from raypipe.core.errors import ConfigError
from raypipe.core.place import find_project
from raypipe.core.retention import Retention


def place(folder: Path, text: str):
    (folder / "raypipe.toml").write_text(text)
    return find_project(None, folder, {})


def test_the_project_says_it_once_for_all_its_pipelines(tmp_path: Path):
    found = place(tmp_path, '[retention]\nkeep_last = 2\nkeep_for = "12h"\nauto = false\ntell_above = "500MB"\n').retention
    assert found == Retention(keep_last=2, keep_for="12h", auto=False, tell_above="500MB")
    assert found.tell_bytes == 500_000_000
    assert place(tmp_path, "").retention == Retention()


def test_everything_wrong_is_named_at_once(tmp_path: Path):
    text = '[retention]\nkeep = 2\nkeep_last = 0\nkeep_for = 30\nauto = "yes"\nlow_disk = "5 gigs"\nlogs_for = "-3d"\n'
    with pytest.raises(ConfigError) as caught:
        place(tmp_path, text)
    wrong = {p.where.rpartition("retention.")[2]: p.what for p in caught.value.problems}
    assert wrong.keys() == {"keep", "keep_last", "keep_for", "auto", "low_disk", "logs_for"}
    assert "Valid: " in wrong["keep"] or "Did you mean" in wrong["keep"]
    assert wrong["keep_for"] == "found 30, expected a time with its unit, e.g. 12h, 30d."
    assert wrong["keep_last"] == "found 0, expected a whole number from 1 on."


def test_a_policy_is_a_table(tmp_path: Path):
    with pytest.raises(ConfigError, match="expected settings"):
        place(tmp_path, 'retention = "30d"\n')
