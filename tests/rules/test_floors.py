"""Imports point down: a room imports rooms of lower floors only, and each engine has the rooms where it may be named."""

from __future__ import annotations

import ast

import pytest

from tests.rules.source import Import, Module, dotted, imports, modules

FLOORS = {
    "core": 0,
    "code": 1,
    "data": 1,
    "bundle": 2,
    "features": 2,
    "evaluate": 2,
    "registry": 2,
    "train": 3,
    "serve": 3,
    "monitor": 3,
    "steps": 4,
    "pipeline": 5,
    "export": 5,
    "config": 6,
    "loop": 7,
    "cli": 8,
    "testing": 9,
    "__main__": 9,
}

ENGINES = {
    "ray.data": ("data",),
    "ray.train": ("train",),
    "ray.tune": ("train",),
    "ray.serve": ("serve",),
    "wandb": ("core.tracker",),
    "hydra": ("config", "cli"),
    "omegaconf": ("config", "cli"),
    "sqlite3": ("core",),
}
"""Where, below `raypipe`, an import of this name may stand."""

CALLS = {"ray.init": ("core.cluster",), "ray.shutdown": ("core.cluster",)}


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_imports_point_down(module: Module):
    if module.room == "":
        return  # raypipe/__init__.py names what it exports as text and imports it when asked
    wrong = [f"{found.at} imports {found.name}" for found in imports(module) if _goes_up(module.room, found)]
    assert not wrong, f"{module.room} stands on floor {FLOORS[module.room]} and may import lower floors only"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_engines_stay_in_their_rooms(module: Module):
    wrong = [f"{found.at} imports {found.name}" for found in imports(module) for name in ENGINES if _out_of_place(module, found.name, name)]
    wrong += [f"{module.at(call)} calls {name}" for call, name in _calls(module) if not _lies_in(module, CALLS[name])]
    assert not wrong


def test_every_room_has_a_floor():
    assert {module.room for module in modules()} - {""} <= FLOORS.keys()


def test_the_rule_sees_an_import_inside_a_function():
    source = "def f():\n    from raypipe.steps import ingest\n    import ray.data as rd\n"
    module = Module(modules()[0].path, "raypipe.core.store", source, ast.parse(source))
    assert [found.name for found in imports(module)] == ["raypipe.steps.ingest", "ray.data"]
    assert [_goes_up("core", found) for found in imports(module)] == [True, False]
    assert _out_of_place(module, "ray.data", "ray.data")


def _goes_up(room: str, found: Import) -> bool:
    parts = found.name.split(".")
    if parts[0] != "raypipe" or len(parts) < 2 or parts[1] == room or parts[1] not in FLOORS:
        return False
    return FLOORS[parts[1]] >= FLOORS[room]


def _out_of_place(module: Module, imported: str, engine: str) -> bool:
    return (imported == engine or imported.startswith(engine + ".")) and not _lies_in(module, ENGINES[engine])


def _lies_in(module: Module, places: tuple[str, ...]) -> bool:
    name = module.name.removeprefix("raypipe.")
    return any(name == place or name.startswith(place + ".") for place in places)


def _calls(module: Module) -> list[tuple[ast.Call, str]]:
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    return [(call, dotted(call.func)) for call in calls if dotted(call.func) in CALLS]
