"""Every slot, component and default that a config may have."""

from dataclasses import fields
from importlib import import_module

import pytest

from raypipe.config.settings import COMPONENTS, KEYS, SUPPLIED, defaults_of
from raypipe.pipeline.assemble import SLOTS


def test_defaults_are_those_that_the_steps_declare():
    found = defaults_of({"model": {"_target_": "raypipe.Booster"}, "gate": None}, ())
    assert found["train"]["epochs"] == 5
    assert found["model"]["num_leaves"] == 63
    assert "gate" not in found
    assert "label" not in found["train"]


@pytest.mark.parametrize("slot", SLOTS)
def test_supplied_settings_are_fields_of_the_step(slot: str):
    module, _, name = SLOTS[slot].rpartition(".")
    names = {f.name for f in fields(getattr(import_module(module), name))}
    assert set(SUPPLIED.get(slot, ())) <= names
    assert set(SUPPLIED.get(slot, {}).values()) <= set(KEYS)


def test_every_slot_is_a_key():
    assert {*SLOTS, *COMPONENTS} <= set(KEYS)
