"""From a name to everything that it leads to: statement by statement, through the user's modules."""

from __future__ import annotations

import ast
import builtins
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from raypipe.code import tokens
from raypipe.code.change import changes_itself
from raypipe.code.module import Imported, Module, find, is_import, load, submodule
from raypipe.code.uses import Uses, uses

_GIVEN = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__", "__package__", "__path__", "__spec__", "__loader__", "__builtins__"}


class Reach:
    """What is reached so far, and what is still to be read."""

    def __init__(self, search: Sequence[Path]):
        self.search = search
        self.modules: dict[str, Module] = {}
        self.parts: dict[str, str] = {}
        self.used: dict[str, set[str]] = {}
        self.whole: set[str] = set()
        self.outside: set[str] = set()
        self.opaque: list[str] = []
        self.notes: list[str] = []
        self._find = lru_cache(maxsize=None)(lambda name: find(name, search))  # a closure asks for the same few, and each costs some stats
        self._queue: deque[tuple[Module, str]] = deque()

    def start(self, module: Module, name: str) -> None:
        """Reads on from a name of `module` until nothing new is reached, and no module changes on import what is used of it."""
        if name in module.bindings:
            self._want(module, name)
        else:
            self._take(module, with_imports=True)
        while self._queue:
            while self._queue:
                key = self._queue.popleft()
                if not self.parts[f"{key[0].name}:{key[1]}"]:
                    self.parts[f"{key[0].name}:{key[1]}"] = self._part(*key)
            for reached in list(self.modules.values()):
                if reached.name not in self.whole and changes_itself(reached, self.used.get(reached.name, set())):
                    self._take(reached)

    def _want(self, module: Module, name: str) -> None:
        """Puts a name that `module` binds among the parts."""
        self.modules[module.name] = module
        self.used.setdefault(module.name, set()).add(name)
        if self.parts.setdefault(f"{module.name}:{name}", "") == "":
            self._queue.append((module, name))

    def _part(self, module: Module, name: str) -> str:
        """The digest of the statements that bind a name, or of what the module does beside binding names, for `*`."""
        statements, lines = module.bindings.get(name, []), []
        if name == "*":
            binding = {id(s) for bound in module.bindings.values() for s in bound}
            statements = [s for s in module.statements if id(s) not in binding and not is_import(s)]
            lines = [f"binds {bound}" for bound in module.bindings]
        for statement in statements:
            lines.append(tokens.digest(module.text(statement)))
            lines.extend(sorted(self._references(module, statement, uses(module, statement))))
        return tokens.joined(lines)

    def _references(self, module: Module, statement: ast.stmt, used: Uses) -> set[str]:
        """`name=meaning` of every global name of a statement, so that another import under the same name is seen."""
        lines = set()
        if used.by_name:
            self._take(module, with_imports=True)
        self.notes.extend(used.computed)
        for name in used.names:
            for chain in used.chains.get(name) or {()}:
                if meaning := self._global(module, name, chain):
                    lines.add(f"{'.'.join((name, *chain)) if ':' in meaning else name}={meaning}")
        is_scope = isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        for name, origin in used.imports:
            for chain in used.chains.get(name) or ({()} if is_scope else set()):
                lines.add(f"{'.'.join((name, *chain))}={self._follow(origin, chain)}")
        lines.update(f"{name}={self._follow(Imported(name), ())}" for name in used.modules)
        return lines

    def _global(self, module: Module, name: str, rest: tuple[str, ...]) -> str:
        if name in module.bindings or name in module.imports:
            return self._lookup(module, name, rest, frozenset())
        if name not in _GIVEN:
            self._take(module, with_imports=True)
        return ""

    def _lookup(self, module: Module, name: str, rest: tuple[str, ...], seen: frozenset[tuple[str, str]]) -> str:
        """What `name` means in `module`, as `module:name` or the dotted name of something that is not the user's."""
        self.modules[module.name] = module
        if name in module.bindings:
            self._want(module, name)
            for statement in module.bindings[name]:
                for alias, origin in uses(module, statement).imports if not hasattr(statement, "decorator_list") else ():
                    if alias == name and (module.name, name) not in seen:
                        self._follow(origin, rest, seen | {(module.name, name)})
            return f"{module.name}:{name}"
        if name in module.imports and (module.name, name) not in seen:
            self.used.setdefault(module.name, set()).add(name)
            return self._follow(module.imports[name], rest, seen | {(module.name, name)})
        if inner := submodule(module, name, self.search):
            return self._follow(Imported(inner), rest, seen)
        self._take(module, with_imports=True)
        return f"{module.name}:*"

    def _follow(self, origin: Imported, rest: tuple[str, ...], seen: frozenset[tuple[str, str]] = frozenset()) -> str:
        chain = (origin.attribute, *rest) if origin.attribute else rest
        found = self._find(origin.module)
        if found is None or found.origin != "user":
            named = f"{origin.module}.{origin.attribute}" if origin.attribute else origin.module
            if found is None or found.origin == "installed":
                self.outside.add(named)
            return named
        if module := load(origin.module, self.search):
            if chain:
                return self._lookup(module, chain[0], chain[1:], seen)
            self._take(module)
            return f"{module.name}:*"
        if found.is_package and chain:
            return self._follow(Imported(f"{origin.module}.{chain[0]}"), chain[1:], seen)
        if not found.is_package:
            self.opaque.append(f"module '{origin.module}' has no source")
        return f"{origin.module}:*"

    def _take(self, module: Module, with_imports: bool = False) -> None:
        """Takes the whole module; with what it imports too, where a name of it may mean any of that."""
        self.modules[module.name] = module
        key = f"{module.name} and imports" if with_imports else module.name
        if key in self.whole:
            return
        self.whole |= {key, module.name}
        for name in (*module.bindings, "*"):
            self._want(module, name)
        for name in (*module.imports, *module.stars) if with_imports else module.stars:
            self._follow(module.imports.get(name) or Imported(name), ())
