"""A condition on what other steps came to: `evaluate.auc > 0.7 and gate.passed`; figures of their artifacts, compared and joined."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest_and_all

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
Path = tuple[str, ...]
"""A step, and the names below it."""

STEPS = "steps"
"""`steps["my-step"].auc` names a step whose name is no word of Python."""


@dataclass(frozen=True)
class Condition:
    """What a `when` says. Nothing in it is called or imported: it is read as a small language of its own."""

    text: str

    @cached_property
    def _tree(self) -> ast.expr:
        return ast.parse(self.text.strip(), mode="eval").body

    def problem(self) -> str:
        """What is wrong with the way it is written; empty where nothing is."""
        try:
            wrong = _wrong(self._tree)
        except (SyntaxError, ValueError) as error:
            return f"cannot be read: {getattr(error, 'msg', error)}; expected a condition such as evaluate.auc > 0.7 and gate.passed."
        return wrong or ("" if self.reads else "reads no step: expected figures of steps, as in evaluate.auc > 0.7.")

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """The steps whose figures it reads."""
        return tuple(dict.fromkeys(figure[0] for figure in _figures(self._tree)))

    @cached_property
    def figures(self) -> tuple[Path, ...]:
        """Each figure that it reads."""
        return tuple(dict.fromkeys(_figures(self._tree)))

    def renamed(self, step: Callable[[str], str | None], names: Collection[str]) -> str:
        """The text with each step as `step` names it; `names` are those that may be meant, dotted ones too."""
        try:
            tree = ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError):
            return self.text
        renames = _Renames(step, names)
        made = renames.visit(tree)
        return ast.unparse(made) if renames.changed else self.text

    def holds(self, where: str, figures: Mapping[str, Mapping[str, Json]]) -> bool:
        """`figures` by step. DataError names a figure that is not there, with those that are, and values that cannot be compared."""
        try:
            return bool(self._value(self._tree, where, figures))
        except (TypeError, ArithmeticError) as error:
            raise DataError(f"{where}: {self.text}: {error} ({self.said(where, figures)}).") from None

    def said(self, where: str, figures: Mapping[str, Mapping[str, Json]]) -> str:
        """The figures as they are: `evaluate.auc is 0.65`."""
        return ", ".join(f"{'.'.join(path)} is {_shown(_look(where, path, figures))}" for path in self.figures)

    def _value(self, node: ast.expr, where: str, figures: Mapping[str, Mapping[str, Json]]) -> Any:
        def of(inner: ast.expr) -> Any:
            return self._value(inner, where, figures)

        if isinstance(node, ast.BoolOp):
            return all(map(of, node.values)) if isinstance(node.op, ast.And) else any(map(of, node.values))
        if isinstance(node, ast.UnaryOp):
            return not of(node.operand) if isinstance(node.op, ast.Not) else -of(node.operand)
        if isinstance(node, ast.BinOp):
            return _ARITHMETIC[type(node.op)](of(node.left), of(node.right))
        if isinstance(node, ast.Compare):
            values = [of(node.left), *map(of, node.comparators)]
            return all(_COMPARE[type(op)](a, b) for op, a, b in zip(node.ops, values, values[1:], strict=False))
        if isinstance(node, (ast.List, ast.Tuple)):
            return [of(item) for item in node.elts]
        if isinstance(node, ast.Constant):
            return node.value
        path = _path(node)
        assert path, "judged when it was checked"
        return _look(where, path, figures)


class _Renames(ast.NodeTransformer):
    """Puts another name for each step."""

    def __init__(self, step: Callable[[str], str | None], names: Collection[str]):
        self.step, self.names, self.changed = step, names, False

    def visit(self, node: ast.AST) -> Any:
        path = _path(node) if isinstance(node, ast.expr) else ()
        if not path:
            return self.generic_visit(node)
        length = next((n for n in range(len(path), 0, -1) if ".".join(path[:n]) in self.names), 1)
        step = self.step(".".join(path[:length])) or path[0]
        self.changed |= length > 1 or step != path[0]
        return _read(step, path[length:])


def _read(step: str, below: Path) -> ast.expr:
    made: ast.expr = ast.Name(step) if step.isidentifier() else ast.Subscript(ast.Name(STEPS), ast.Constant(step))
    for name in below:
        made = ast.Attribute(made, name) if name.isidentifier() else ast.Subscript(made, ast.Constant(name))
    return made


def _wrong(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str, bool, type(None))):
        return ""
    for step in _path(node)[:1]:
        return "" if _path(node)[1:] else f"'{step}' alone says nothing: name a figure of the step, as in {step}.passed."
    inner = {
        ast.BoolOp: lambda n: n.values,
        ast.UnaryOp: lambda n: [n.operand] if isinstance(n.op, (ast.Not, ast.USub)) else None,
        ast.BinOp: lambda n: [n.left, n.right] if type(n.op) in _ARITHMETIC else None,
        ast.Compare: lambda n: [n.left, *n.comparators] if all(type(op) in _COMPARE for op in n.ops) else None,
        ast.List: lambda n: n.elts,
        ast.Tuple: lambda n: n.elts,
    }
    read = inner.get(type(node))
    parts = read(node) if read else None
    if parts is None:
        return f"`{ast.unparse(node)}` has no meaning here: expected figures of steps, numbers, text, comparisons, and, or, not, + - * /."
    return next((wrong for part in parts if (wrong := _wrong(part))), "")


def _figures(node: ast.AST) -> list[Path]:
    if isinstance(node, ast.expr) and (path := _path(node)):
        return [path]
    return [figure for child in ast.iter_child_nodes(node) for figure in _figures(child)]


def _path(node: ast.expr) -> Path:
    """`a.b.c` and `steps["a"].b["c"]` as names; empty for anything else."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        inner = _path(node.value)
        return (*inner, node.attr) if inner else ()
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        inner = _path(node.value)
        if inner == (STEPS,):
            return (node.slice.value,)
        return (*inner, node.slice.value) if inner else ()
    return ()


def _look(where: str, path: Path, figures: Mapping[str, Mapping[str, Json]]) -> Json:
    value: Json = figures[path[0]]
    for depth, name in enumerate(path[1:], 1):
        if not isinstance(value, Mapping) or name not in value:
            there = list(value) if isinstance(value, Mapping) else []
            raise DataError(f"{where}: {'.'.join(path[:depth])} has no figure '{name}'.{nearest_and_all(name, there)}")
        value = value[name]
    return value


def _shown(value: Json) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
