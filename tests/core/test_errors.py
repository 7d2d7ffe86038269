"""Errors are texts for people, and exit codes for scripts."""

from __future__ import annotations

import pytest

from raypipe.core import errors
from raypipe.core.errors import ConfigError, Problem, RaypipeError, nearest

CODES = {"LeaseHeld": 75, "Fenced": 75, "LedgerError": 2, "LedgerLost": 2, "ConfigError": 2, "Interrupted": 130}


@pytest.mark.parametrize("name", [name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, RaypipeError)])
def test_every_error_has_its_exit_code(name: str):
    assert getattr(errors, name).exit_code == CODES.get(name, 1)


def test_all_problems_are_told_at_once():
    error = ConfigError([Problem("train.epoch", "is no setting"), Problem("", "the file is empty")])
    assert str(error) == "train.epoch: is no setting\nthe file is empty"
    assert ConfigError("one thing").problems == [Problem("", "one thing")]


def test_the_nearest_name_is_offered():
    assert nearest("epoch", ["epochs", "seed"]) == " Did you mean 'epochs'?"
    assert nearest("zzz", ["epochs", "seed"]) == " Valid: epochs, seed."
    assert nearest("zzz", []) == ""
