"""What one statement of a module uses: the global names it reads, by which attributes, what it imports and what it changes."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from raypipe.code.module import Imported, Module, absolute, dotted, imported

_BY_NAME = frozenset({"eval", "exec", "globals", "vars", "__import__"})
_MUTATING = frozenset(
    (
        *("add", "append", "clear", "discard", "extend", "insert", "pop", "popitem"),
        *("register", "remove", "reverse", "setdefault", "sort", "update"),
    )
)


@dataclass
class Uses:
    """What a statement reaches outside itself."""

    names: set[str] = field(default_factory=set)
    """Global names that it reads, at import or when called."""
    chains: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)
    """Name -> the attribute chains taken from it; an empty chain where it is used bare."""
    imports: list[tuple[str, Imported]] = field(default_factory=list)
    """Name and origin of each import inside it."""
    modules: set[str] = field(default_factory=set)
    """Modules that it imports and names no more: by a star, a literal `import_module`, an import for its effect."""
    changes: set[str] = field(default_factory=set)
    """Names of which it changes an attribute or an element, or which it rebinds as `global`."""
    by_name: list[str] = field(default_factory=list)
    """Why its names cannot be told from its text: `exec` and its like."""
    computed: list[str] = field(default_factory=list)
    """Imports of a module whose name is computed, which no reading of the source can follow."""


@lru_cache(maxsize=4096)
def uses(module: Module, statement: ast.stmt) -> Uses:
    """What a top-level statement uses; scopes are Python's own, by `symtable`."""
    found = Uses(names=set(_globals(symtable.symtable(module.text(statement), str(module.path), "exec"))))
    _visit(statement, module, found)
    found.by_name = [f"{module.path.name} line {statement.lineno} uses {name}()" for name in sorted(found.names & _BY_NAME)]
    return found


def _globals(table: symtable.SymbolTable) -> Iterator[str]:
    is_top = table.get_type() == "module"
    for symbol in table.get_symbols():
        if is_top or table.get_type() == "class":
            # `scale = scale(3)` in a class body reads the global one.
            if symbol.is_referenced() or symbol.is_global():
                yield symbol.get_name()
        elif symbol.is_global():
            yield symbol.get_name()
    for child in table.get_children():
        yield from _globals(child)


def _visit(node: ast.AST, module: Module, found: Uses) -> None:
    chain = dotted(node) if isinstance(node, (ast.Name, ast.Attribute)) else None
    if chain:
        found.chains.setdefault(chain[0], set()).add(chain[1:])
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            found.changes.add(chain[0])
        return
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        _import(node, module, found)
    elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        found.changes.update((dotted(node.value) or ())[:1])
    elif isinstance(node, ast.Global):
        found.changes.update(node.names)
    elif isinstance(node, ast.Call):
        _call(node, module, found)
    for child in ast.iter_child_nodes(node):
        _visit(child, module, found)


def _import(node: ast.Import | ast.ImportFrom, module: Module, found: Uses) -> None:
    names = imported(node, module)
    found.imports.extend(names.items())
    if isinstance(node, ast.ImportFrom) and not names:
        found.modules.add(absolute(node, module))


def _call(node: ast.Call, module: Module, found: Uses) -> None:
    chain = dotted(node.func)
    if chain is None:
        return
    *_, last = chain
    if last in _MUTATING and len(chain) > 1:
        found.changes.add(chain[0])
    if last == "import_module":
        name = node.args[0] if node.args else None
        if isinstance(name, ast.Constant) and isinstance(name.value, str) and not name.value.startswith("."):
            found.modules.add(name.value)
        else:
            found.computed.append(f"{module.path.name} line {node.lineno} imports a module by a computed name")
