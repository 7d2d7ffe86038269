"""What importing a module does to its own names, beside binding each of them once."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from raypipe.code.module import Module, is_import
from raypipe.code.uses import uses


def changes_itself(module: Module, used: set[str]) -> bool:
    """Whether importing the module does more to a name in `used` than bind it once."""
    if not used:
        return False
    if module.stars or used & module.declared_global or any(len(module.bindings.get(name, ())) > 1 for name in used):
        return True
    bound = {id(s) for name in used for s in module.bindings.get(name, ())}
    for statement in module.statements:
        if is_import(statement):
            continue
        if _acts(statement) and _spread(module, uses(module, statement).names) & used:
            return True
        if id(statement) not in bound and _changed_by(module, statement) & used:
            return True
    return False


def _acts(statement: ast.stmt) -> bool:
    """Whether a top-level statement may do something beside binding its names."""
    if isinstance(statement, ast.Expr):
        return not isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Assign):
        return not all(isinstance(t, (ast.Name, ast.Tuple, ast.List)) for t in statement.targets)
    if isinstance(statement, ast.AnnAssign):
        return not isinstance(statement.target, ast.Name)
    if isinstance(statement, (ast.If, ast.Try)):
        inner = [*statement.body, *statement.orelse, *getattr(statement, "finalbody", ())]
        inner += [s for handler in getattr(statement, "handlers", ()) for s in handler.body]
        return any(map(_acts, inner))
    return isinstance(statement, (ast.For, ast.While, ast.With, ast.Delete, ast.AugAssign, ast.Match))


def _changed_by(module: Module, statement: ast.stmt) -> set[str]:
    """Names that binding a function, class or value changes on the way: through a decorator, a base class or a call."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        run: Iterable[ast.AST] = [*statement.decorator_list, *getattr(statement, "bases", ())]
        changed = set()
    else:
        value = getattr(statement, "value", None)
        if value is None or not any(isinstance(n, ast.Call) for n in ast.walk(value)):
            return set()
        run, changed = [value], set(uses(module, statement).changes)
    names = {n.id for node in run for n in ast.walk(node) if isinstance(n, ast.Name)} & module.bindings.keys()
    for name in _spread(module, names):
        for reached in module.bindings.get(name, ()):
            changed |= uses(module, reached).changes
            if isinstance(reached, ast.ClassDef) and any(getattr(s, "name", "") == "__init_subclass__" for s in reached.body):
                changed.add(name)
    return changed


def _spread(module: Module, names: Iterable[str]) -> set[str]:
    """`names` and every name of the module that they lead to."""
    seen: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(n for s in module.bindings.get(name, ()) for n in uses(module, s).names)
    return seen
