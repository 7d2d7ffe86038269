"""What a block opens is closed at its end."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path

import pytest

from raypipe.cli.main import main
from raypipe.core.ledger import Ledger
from raypipe.core.opened import closed_at_end
from tests.conftest import new_database


def test_a_ledger_is_closed_even_after_an_error(tmp_path: Path):
    closed: list[str] = []

    def opened(name: str) -> Ledger:
        ledger = Ledger.open(f"sqlite:///{tmp_path}/{name}.db", "test")
        dispose = ledger._database.engine.dispose
        ledger._database.engine.dispose = lambda: (closed.append(name), dispose())  # pyright: ignore[reportAttributeAccessIssue]
        return ledger

    def fails() -> None:
        with closed_at_end():
            opened("inside")
            raise ZeroDivisionError

    before = opened("before")
    with pytest.raises(ZeroDivisionError):
        fails()
    assert closed == ["inside"]
    before.close()


@pytest.mark.parametrize(("words", "code"), [(["status"], 0), (["plan"], 0), (["tables", "show", "nothing"], 1), (["ledger", "check"], 0)])
def test_a_verb_leaves_no_connection_open(words: list[str], code: int, fresh: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAYPIPE_LEDGER", new_database(postgres_url))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        assert main(words) == code
        gc.collect()
    assert not [str(each.message) for each in told if "Connection" in str(each.message)]
