"""Every setting with its line of documentation, read from the source: `python -m tests.rules.reference` writes docs/reference.md."""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass

from tests.rules.source import ROOT, Module, dotted, modules

PAGE = ROOT / "docs" / "reference.md"
NOT_SETTINGS = ("raypipe.core.step", "raypipe.core.artifact")
"""Modules whose exported dataclasses are handed to a step, not written by a user."""

HEAD = """# Settings

Every option that a config may name with `_target_`, and every setting of it. This page is made from the code by `make reference`.
A setting marked *where* says where or how fast, not what: changing it makes nothing anew.
"""


@dataclass(frozen=True)
class Setting:
    name: str
    type: str
    default: str | None
    """As written; None where it must be given."""
    identity: bool
    doc: str


@dataclass(frozen=True)
class Option:
    """A settings dataclass: `name` as a config writes it."""

    name: str
    module: Module
    doc: str
    settings: tuple[Setting, ...]


@functools.cache
def options() -> tuple[Option, ...]:
    """In the order of raypipe's exports, then what only the shipped configs name."""
    exported = {f"raypipe.{name}": f"{module}.{name}" for name, module in _exports().items() if module not in NOT_SETTINGS}
    places = {name: exported.get(name, name) for name in [*exported, *_targets()]}
    unique = {place: name for name, place in reversed(places.items())}
    found = [_option(name, place) for place, name in reversed(unique.items())]
    return tuple(option for option in found if option)


def page() -> str:
    rooms: dict[str, list[Option]] = {}
    for option in options():
        rooms.setdefault(option.module.room, []).append(option)
    return HEAD + "".join(f"\n## {room}\n{''.join(map(_section, found))}" for room, found in rooms.items())


def _exports() -> dict[str, str]:
    import raypipe

    return raypipe._EXPORTS


def _targets() -> list[str]:
    texts = [path.read_text() for path in sorted((ROOT / "configs").rglob("*.yaml"))]
    return [name for text in texts for name in re.findall(r"_target_:\s*['\"]?(raypipe[\w.]+)", text)]


def _option(name: str, place: str) -> Option | None:
    module_name, _, class_name = place.rpartition(".")
    module = next((m for m in modules() if m.name == module_name), None)
    node = _class(module, class_name) if module else None
    if module is None or node is None or not _is_dataclass(node):
        return None
    return Option(name, module, (ast.get_docstring(node) or "").split("\n\n")[0], tuple(_settings(node)))


def _class(module: Module, name: str) -> ast.ClassDef | None:
    return next((n for n in module.tree.body if isinstance(n, ast.ClassDef) and n.name == name), None)


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any(dotted(d.func if isinstance(d, ast.Call) else d).endswith("dataclass") for d in node.decorator_list)


def _settings(node: ast.ClassDef) -> list[Setting]:
    settings = []
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and not _hidden(statement):
            settings.append(_setting(statement, statement.target.id, following))
    return settings


def _hidden(statement: ast.AnnAssign) -> bool:
    return "ClassVar" in ast.unparse(statement.annotation) or dotted(statement.target).startswith("_")


def _setting(statement: ast.AnnAssign, name: str, following: ast.stmt | None) -> Setting:
    value = statement.value
    identity = value is None or "NO_IDENTITY" not in ast.unparse(value)
    return Setting(name, ast.unparse(statement.annotation).strip("'\""), _default(value), identity, _line_under(following))


def _default(value: ast.expr | None) -> str | None:
    if not (isinstance(value, ast.Call) and dotted(value.func).endswith("field")):
        return None if value is None else ast.unparse(value)
    given = {keyword.arg: keyword.value for keyword in value.keywords}
    if "default_factory" in given:
        factory = given["default_factory"]
        made = factory.body if isinstance(factory, ast.Lambda) else ast.Call(factory, [], [])
        return {"dict()": "{}", "list()": "[]"}.get(ast.unparse(made), ast.unparse(made))
    return ast.unparse(given["default"]) if "default" in given else None


def _line_under(following: ast.stmt | None) -> str:
    if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant) and isinstance(following.value.value, str):
        return " ".join(following.value.value.split())
    return ""


def _section(option: Option) -> str:
    lines = [
        f"- `{s.name}: {s.type}{'' if s.default is None else f' = {s.default}'}`{'' if s.identity else ' *where*'}: {s.doc}"
        for s in option.settings
    ]
    return f"\n### `{option.name}`\n\n{' '.join(option.doc.split())}\n\n" + "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
