"""Annotations as text: each name in them made canonical, and whether a JSON value fits one."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from raypipe.code.module import Module, dotted, find
from raypipe.core.errors import ConfigError

_SIMPLE = {"int": int, "float": (int, float), "str": str, "bool": bool, "None": type(None)}
_LISTS = {"list", "tuple", "set", "frozenset", "Sequence", "Iterable", "Collection"}
_MAPPINGS = {"dict", "Mapping", "MutableMapping"}
_TEXTUAL = {"Ref", "Path", "date", "datetime"}
_WORDS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "None": "null"}


def canonical_name(chain: tuple[str, ...], module: Module, search: Sequence[Path]) -> str:
    """The import path that a dotted name means in `module`; re-exports are followed through the user's modules and raypipe."""
    return _defined(chain, module, search)[0]


def _defined(chain: tuple[str, ...], module: Module, search: Sequence[Path]) -> tuple[str, Module | None]:
    """The import path that a name means, and the module of the user's or of raypipe's that binds it."""
    from raypipe.code.target import follow

    if chain[0] in module.imports_anywhere:
        origin = module.imports_anywhere[chain[0]]
        written = ".".join(filter(None, (origin.module, origin.attribute, *chain[1:])))
        found = find(origin.module, search)
        if found is None or found.origin not in ("user", "own"):
            return written, None
        try:
            definition = follow(origin, chain[1:], search)
        except ConfigError:
            return written, None
        return definition.canonical, definition.parsed
    if chain[0] in module.bindings:
        return ".".join((module.name, *chain)), module
    return ".".join(chain), None


def resolve(node: ast.expr | None, module: Module, search: Sequence[Path]) -> str:
    """The text of an annotation with every name canonical; empty where there is none."""
    if node is None:
        return ""
    return ast.unparse(_Canonical(module, search).visit(ast.parse(ast.unparse(node), mode="eval").body))


class _Canonical(ast.NodeTransformer):
    """Replaces names by import paths, inside quoted annotations too."""

    def __init__(self, module: Module, search: Sequence[Path]):
        self.module, self.search = module, search

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._meaning((node.id,))

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        chain = dotted(node)
        return self._meaning(chain) if chain else node

    def _meaning(self, chain: tuple[str, ...]) -> ast.expr:
        """The import path, or what an alias such as `Breach = Literal["fail", "drop"]` stands for."""
        path, module = _defined(chain, self.module, self.search)
        bound = module.bindings.get(path.rpartition(".")[2], []) if module else []
        value = getattr(bound[0], "value", None) if len(bound) == 1 and isinstance(bound[0], ast.Assign) else None
        if module is None or not isinstance(value, (ast.Subscript, ast.BinOp, ast.Name, ast.Attribute)):
            return ast.Name(path)
        return _Canonical(module, self.search).visit(ast.parse(ast.unparse(value), mode="eval").body)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return self.visit(ast.parse(node.value, mode="eval").body) if isinstance(node.value, str) else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        value = self.visit(node.value)
        literal = isinstance(value, ast.Name) and value.id.rpartition(".")[2] in ("Literal", "Annotated")
        return ast.Subscript(value, node.slice if literal else self.visit(node.slice))


def misfit(value: Any, annotation: str) -> str:
    """What `annotation` (resolved) expects, where the JSON value does not fit it; empty where it does, or where it cannot be told."""
    if not annotation:
        return ""
    return "" if _fits(value, _parsed(annotation)) else expected(_parsed(annotation))


def components(annotation: str) -> list[str]:
    """Import paths of the classes that a mapping may stand for under this annotation: `Contract | None` -> its one class."""
    return list(dict.fromkeys(_classes(_parsed(annotation)))) if annotation else []


def element(annotation: str) -> str:
    """The annotation of the values of a `dict[...]` or of the items of a `list[...]`; empty where it is neither."""
    for node in _options(_parsed(annotation)) if annotation else ():
        name, arguments = _parts(node)
        if name in _MAPPINGS and len(arguments) == 2:
            return ast.unparse(arguments[1])
        if name in _LISTS and arguments:
            return ast.unparse(arguments[0])
    return ""


def expected(node: ast.expr) -> str:
    """An annotation in words: `a number or null`, `one of 'time', 'hash'`, `a list of text`."""
    words = [word for option in _options(node) if (word := _word(option))]
    return " or ".join(dict.fromkeys(words))


@lru_cache(maxsize=1024)
def _parsed(annotation: str) -> ast.expr:
    try:
        return ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return ast.Name("Any")


def _options(node: ast.expr) -> Iterator[ast.expr]:
    """The members of a union."""
    name, arguments = _parts(node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        yield from _options(node.left)
        yield from _options(node.right)
    elif name == "Union":
        for argument in arguments:
            yield from _options(argument)
    elif name == "Optional":
        yield from (*_options(arguments[0]), ast.Constant(None))
    elif name == "Annotated":
        yield from _options(arguments[0])
    else:
        yield node


def _parts(node: ast.expr) -> tuple[str, list[ast.expr]]:
    """`list[int]` as ("list", [int]); a name's last part alone counts, as the standard generics are told by it."""
    if isinstance(node, ast.Subscript):
        arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return _parts(node.value)[0], list(arguments)
    if isinstance(node, ast.Constant):
        return str(node.value), []
    chain = dotted(node)
    return (chain[-1], []) if chain else ("", [])


def _fits(value: Any, node: ast.expr) -> bool:
    return any(_fits_one(value, option) for option in _options(node))


def _fits_one(value: Any, node: ast.expr) -> bool:
    name, arguments = _parts(node)
    if name == "Literal":
        return any(isinstance(a, ast.Constant) and type(a.value) is type(value) and a.value == value for a in arguments)
    if name in _SIMPLE:
        return isinstance(value, _SIMPLE[name]) and (name == "bool" or not isinstance(value, bool))
    if name in _LISTS:
        item = arguments[0] if arguments else ast.Name("Any")
        fixed = name == "tuple" and len(arguments) > 1 and not (isinstance(arguments[1], ast.Constant) and arguments[1].value is ...)
        if fixed:
            return isinstance(value, (list, tuple)) and len(value) == len(arguments) and all(map(_fits, value, arguments))
        return isinstance(value, (list, tuple)) and all(_fits(v, item) for v in value)
    if name in _MAPPINGS:
        item = arguments[1] if len(arguments) == 2 else ast.Name("Any")
        return isinstance(value, Mapping) and all(_fits(v, item) for v in value.values())
    if name in _TEXTUAL:
        return isinstance(value, str)
    if _is_component(node):
        return isinstance(value, Mapping)
    return True


def _word(node: ast.expr) -> str:
    name, arguments = _parts(node)
    if name == "Literal":
        return "one of " + ", ".join(repr(a.value) for a in arguments if isinstance(a, ast.Constant))
    if name in _LISTS:
        return "a list" + (f" of {expected(arguments[0])}" if arguments and expected(arguments[0]) else "")
    if name in _MAPPINGS:
        return "a mapping" + (f" of names to {expected(arguments[1])}" if len(arguments) == 2 and expected(arguments[1]) else "")
    if name == "Ref":
        return "the name of a step"
    if name in _TEXTUAL:
        return "text"
    return f"a mapping (settings of {name})" if _is_component(node) else _WORDS.get(name, "")


def _classes(node: ast.expr) -> Iterator[str]:
    for option in _options(node):
        if _is_component(option):
            yield ".".join(dotted(option) or ())


def _is_component(node: ast.expr) -> bool:
    """A class of raypipe's with settings of its own, so that a mapping is meant."""
    chain = dotted(node)
    return bool(chain) and chain[0] == "raypipe" and chain[1] != "core" and chain[-1][0].isupper()
