"""A Python module as its file says it: found and parsed, never imported."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import io
import sys
import sysconfig
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from raypipe.code.settled import once
from raypipe.core.errors import ConfigError, nearest

Origin = Literal["user", "own", "installed", "standard"]
"""Whose code: the user's (project folder or editable install), raypipe's, an installed distribution's, Python's own."""

_SUFFIXES = (*importlib.machinery.EXTENSION_SUFFIXES, ".pyc")
_STANDARD = Path(sysconfig.get_path("stdlib")).resolve()


@dataclass(frozen=True)
class Found:
    """Where a module lies. `path` is None for a namespace package, a built-in, or a module without source."""

    name: str
    origin: Origin
    path: Path | None
    is_package: bool = False


@dataclass(frozen=True)
class Imported:
    """What an import statement binds a name to: a module, or an attribute (or submodule) of it."""

    module: str
    attribute: str | None = None


@dataclass(frozen=True, eq=False)
class Module:
    """The parsed source of one module, and what its top level binds."""

    name: str
    origin: Origin
    path: Path
    is_package: bool
    source: str
    tree: ast.Module

    @cached_property
    def lines(self) -> list[str]:
        return self.source.split("\n")

    @cached_property
    def bindings(self) -> dict[str, list[ast.stmt]]:
        """Top-level name -> the statements that bind it, in order; plain imports are in `imports`."""
        names: dict[str, list[ast.stmt]] = {}
        for statement in self.statements:
            if not is_import(statement):
                for name in dict.fromkeys(bound(statement)):
                    names.setdefault(name, []).append(statement)
        return names

    @cached_property
    def imports(self) -> dict[str, Imported]:
        """Name -> what it is imported from, by the plain import statements of the top level."""
        names: dict[str, Imported] = {}
        for statement in self.statements:
            if isinstance(statement, (ast.Import, ast.ImportFrom)):
                names.update(imported(statement, self))
        return names

    @cached_property
    def imports_anywhere(self) -> dict[str, Imported]:
        """`imports`, and those inside an `if` or `try` of the top level (`if TYPE_CHECKING:`)."""
        names: dict[str, Imported] = {}
        for statement in self.statements:
            if isinstance(statement, (ast.If, ast.Try)):
                for node in _imports_within([statement]):
                    names = imported(node, self) | names
        return names | self.imports

    @cached_property
    def stars(self) -> list[str]:
        """Modules of the `from x import *` statements of the top level."""
        froms = (node for node in self.statements if isinstance(node, ast.ImportFrom))
        return [absolute(node, self) for node in froms if node.names[0].name == "*"]

    @cached_property
    def statements(self) -> list[ast.stmt]:
        """The top level, less docstrings, `pass` and the `if __name__ == "__main__"` block, which an import never runs."""
        return [node for node in self.tree.body if not _idle(node)]

    @cached_property
    def declared_global(self) -> frozenset[str]:
        """Names that some function rebinds by a `global` statement."""
        if "global" not in self.source:
            return frozenset()
        return frozenset(name for node in ast.walk(self.tree) if isinstance(node, ast.Global) for name in node.names)

    @cached_property
    def mentioned(self) -> frozenset[str]:
        """Modules that any import statement in it may mean."""
        names: set[str] = set()
        for node in _imports_within(self.tree.body):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            else:
                origin = absolute(node, self)
                names.update((origin, *(f"{origin}.{alias.name}" for alias in node.names if alias.name != "*")))
        return frozenset(names)

    def text(self, statement: ast.stmt) -> str:
        """The whole lines of a top-level statement, decorators included."""
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(d.lineno for d in decorators)])
        return "\n".join(self.lines[first - 1 : statement.end_lineno]) + "\n"


@once
def find(name: str, search: Sequence[Path]) -> Found | None:
    """Where `import name` would find it, with the folders of `search` first; None where nothing is found. Imports nothing."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    if parts[0] in sys.stdlib_module_names:
        return Found(name, "standard", None)
    if parts[0] == "raypipe":
        return _locate(name, [Path(__file__).parents[2]], "own")
    found = _locate(name, search, "user")
    if found and (found.path or not found.is_package):
        return found
    return _installed(name) or found


def load(name: str, search: Sequence[Path]) -> Module | None:
    """The parsed module of that name; None where it is not found or has no source.

    Raises ConfigError with file and line where the source does not parse.
    """
    found = find(name, search)
    if found is None or found.path is None:
        return None
    return _parsed(name, found.origin, found.path, found.is_package, _read(found.path))


def submodule(module: Module, name: str, search: Sequence[Path]) -> str | None:
    """The full name of `module`'s submodule `name`, if there is one."""
    full = f"{module.name}.{name}"
    return full if module.is_package and find(full, search) else None


def absolute(node: ast.ImportFrom, module: Module) -> str:
    """The absolute name of the module that a `from ... import` names."""
    if not node.level:
        return node.module or ""
    package = module.name if module.is_package else module.name.rpartition(".")[0]
    for _ in range(node.level - 1):
        package = package.rpartition(".")[0]
    return f"{package}.{node.module}" if node.module else package


def imported(node: ast.Import | ast.ImportFrom, module: Module) -> dict[str, Imported]:
    """What one import statement binds; a star binds nothing here."""
    if isinstance(node, ast.ImportFrom):
        origin = absolute(node, module)
        return {alias.asname or alias.name: Imported(origin, alias.name) for alias in node.names if alias.name != "*"}
    return {a.asname or a.name.partition(".")[0]: Imported(a.name if a.asname else a.name.partition(".")[0]) for a in node.names}


def bound(node: ast.AST) -> Iterator[str]:
    """Names that a statement binds in the scope where it stands, those inside its `if`, `try`, `for`, `with` included."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
        return
    if isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.alias) and node.name != "*":
        yield node.asname or node.name.partition(".")[0]
    elif isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    for child in ast.iter_child_nodes(node):
        yield from bound(child)


def is_import(statement: ast.stmt) -> bool:
    return isinstance(statement, (ast.Import, ast.ImportFrom))


def dotted(node: ast.AST) -> tuple[str, ...] | None:
    """`a.b.c` as ("a", "b", "c"); None where the expression is anything else."""
    chain: list[str] = []
    while isinstance(node, ast.Attribute):
        chain.append(node.attr)
        node = node.value
    return (node.id, *reversed(chain)) if isinstance(node, ast.Name) else None


def executed(names: Iterable[str], search: Sequence[Path]) -> list[Module]:
    """These modules, of their packages, and of every user module that importing or calling them may import."""
    modules: dict[str, Module] = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        found = None if name in modules else find(name, search)
        module = load(name, search) if found and found.origin == "user" else None
        if module is not None:
            modules[name] = module
            todo.extend(name.rsplit(".", n)[0] for n in range(1, name.count(".") + 1))
            todo.extend(module.mentioned)
    return sorted(modules.values(), key=lambda module: module.name)


def unknown(name: str, search: Sequence[Path]) -> str:
    """Why a module cannot be found, with the nearest module of the same folder."""
    parent = name.rpartition(".")[0]
    if parent and find(parent, search) is None:
        return unknown(parent, search)
    folders = [found.path.parent] if parent and (found := find(parent, search)) and found.path else list(search)
    siblings = {p.stem for f in folders if f.is_dir() for p in f.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    names = {f"{parent}.{s}" if parent else s for s in siblings if s != "__init__" and not s.startswith(".")}
    places = "" if parent else f" in {', '.join(map(str, search)) or 'the search path'} or among the installed packages"
    return f"there is no module '{name}'{places}.{nearest(name, names)}"


def _imports_within(body: Iterable[ast.AST]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import statement, at any depth; expressions, which hold none, are not walked."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield from _imports_within(ast.iter_child_nodes(node))


def _idle(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.If) and isinstance(node.test, ast.Compare):
        return isinstance(node.test.left, ast.Name) and node.test.left.id == "__name__" and not node.orelse
    return isinstance(node, ast.Pass)


def _locate(name: str, folders: Sequence[Path], origin: Origin) -> Found | None:
    """The module's file under the first folder that has it; a namespace package only where no folder has a regular one."""
    namespace = None
    for folder in folders:
        path = folder.joinpath(*name.split("."))
        if (path / "__init__.py").is_file():
            return Found(name, origin, path / "__init__.py", is_package=True)
        if (source := path.with_name(path.name + ".py")).is_file():
            return Found(name, origin, source)
        if any(path.with_name(path.name + suffix).is_file() for suffix in _SUFFIXES):
            return Found(name, origin, None)
        if path.is_dir():
            namespace = namespace or Found(name, origin, None, is_package=True)
    return namespace


def _installed(name: str) -> Found | None:
    """The module as the import system's own finders know it; only its top-level package is asked for, so nothing is imported."""
    top = name.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        spec = None
    if spec is None:
        return None
    places = [Path(p) for p in spec.submodule_search_locations or ([spec.origin] if spec.origin else [])]
    origin = _origin(places[0]) if places else "standard"
    return _locate(name, [place.parent for place in places], origin) if places else Found(name, origin, None)


def _origin(path: Path) -> Origin:
    if {"site-packages", "dist-packages"} & set(path.parts):
        return "installed"
    return "standard" if path.resolve().is_relative_to(_STANDARD) else "user"


def _read(path: Path) -> str:
    """The source as text; a file with a declared encoding is read by it."""
    data = path.read_bytes()
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0] if b"coding" in data[:200] else "utf-8-sig"
        return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except (UnicodeDecodeError, SyntaxError) as error:
        raise ConfigError(f"{path} is not readable as Python source: {error}") from None


@lru_cache(maxsize=256)
def _parsed(name: str, origin: Origin, path: Path, is_package: bool, source: str) -> Module:
    try:
        tree = ast.parse(source, str(path))
    except (SyntaxError, ValueError) as error:
        line = f" line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise ConfigError(f"{path}{line} is not valid Python: {getattr(error, 'msg', error)}") from None
    return Module(name, origin, path, is_package, source, tree)
