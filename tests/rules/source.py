"""The project's files as the rules read them: what git would keep, and raypipe's modules parsed."""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Module:
    """One module of raypipe: `name` is its import path, `room` the first part below `raypipe`."""

    path: Path
    name: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return (self.name + ".").split(".")[1]

    def at(self, node: ast.AST) -> str:
        return f"{self.path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


@dataclass(frozen=True)
class Import:
    """A name that some line of a module imports, inside functions too, by statement or by `import_module`."""

    name: str
    at: str


@functools.cache
def modules() -> tuple[Module, ...]:
    return tuple(_parse(path) for path in sorted((ROOT / "raypipe").rglob("*.py")))


@functools.cache
def files() -> tuple[Path, ...]:
    """Everything that git tracks or would add, with its path from the root; all of the folder where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.splitlines() if listed.returncode == 0 else [str(p.relative_to(ROOT)) for p in ROOT.rglob("*")]
    return tuple(ROOT / name for name in names if (ROOT / name).is_file() and ".venv" not in name)


def texts(*suffixes: str) -> Iterator[tuple[Path, str]]:
    for path in files():
        if not suffixes or path.suffix in suffixes or path.name in suffixes:
            yield path, path.read_text(errors="replace")


def imports(module: Module) -> list[Import]:
    return [Import(name, module.at(node)) for node in ast.walk(module.tree) for name in _imported(node, module)]


def functions(module: Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def dotted(node: ast.AST) -> str:
    """`a.b.c` for a chain of attributes on a name, else an empty text."""
    if isinstance(node, ast.Attribute):
        parent = dotted(node.value)
        return f"{parent}.{node.attr}" if parent else ""
    return node.id if isinstance(node, ast.Name) else ""


def _parse(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    text = path.read_text()
    return Module(path, ".".join(parts).removesuffix(".__init__"), text, ast.parse(text, str(path)))


def _imported(node: ast.AST, module: Module) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        source = _absolute(node, module)
        return [f"{source}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] in ("import_module", "__import__"):
        return [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    return []


def _absolute(node: ast.ImportFrom, module: Module) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".") if module.path.name == "__init__.py" else module.name.split(".")[:-1]
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])
