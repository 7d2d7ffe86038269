"""A target's shape, read from the source of its module and of its base classes'."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from raypipe.code.annotation import canonical_name, resolve
from raypipe.code.module import Module, dotted
from raypipe.code.shape import Parameter, Shape, Unsettled
from raypipe.code.target import Definition, define
from raypipe.core.errors import ConfigError

_NO_FIELDS = {"object", "abc.ABC", "typing.Generic", "typing.Protocol"}
_TRANSPARENT = {"typing.final", "typing.runtime_checkable", "typing.override", "functools.total_ordering"}
_EMPTY = {"list": [], "dict": {}, "tuple": (), "set": (), "frozenset": ()}
_NO_IDENTITY = "raypipe.core.step.NO_IDENTITY"


class _Class(NamedTuple):
    """A class of the family: its statement, its module, whether it is a dataclass, whether its decorators are known."""

    node: ast.ClassDef
    module: Module
    is_dataclass: bool
    is_plain: bool


def read(definition: Definition, search: Sequence[Path]) -> Shape:
    """The shape by reading; raises Unsettled where a decorator, a base class or the way it is bound hides it."""
    node, module = _statement(definition)
    if isinstance(node, ast.ClassDef):
        return _class_shape(definition, node, module, search)
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or not _all_transparent(node.decorator_list, module, search):
        raise Unsettled
    arguments = tuple(_arguments(node.args, module, search))
    returns = resolve(node.returns, module, search)
    takes = arguments[0].resolved if arguments else ""
    return Shape(definition.canonical, "function", arguments, returns, takes, returns, accepts_any=node.args.kwarg is not None)


def _statement(definition: Definition) -> tuple[ast.stmt, Module]:
    """The one statement that defines the target."""
    module = definition.parsed
    if module is None:
        raise Unsettled
    top, *inner = definition.qualname.split(".")
    found = module.bindings.get(top, [])
    for name in inner:
        body = found[0].body if len(found) == 1 and isinstance(found[0], ast.ClassDef) else []
        found = [s for s in body if getattr(s, "name", None) == name]
    if len(found) != 1 or getattr(found[0], "name", None) != definition.qualname.rpartition(".")[2]:
        raise Unsettled
    return found[0], module


def _class_shape(definition: Definition, node: ast.ClassDef, module: Module, search: Sequence[Path]) -> Shape:
    family, is_complete = _family(node, module, search)
    methods = [(s, m) for n, m, *_ in family for s in n.body if isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef))]
    returns = next((resolve(s.returns, m, search) for s, m in methods if s.name == "run"), "")
    members = frozenset(name for n, *_ in family for s in n.body for name in _names(s))
    takes, gives = next((_call(s, m, search) for s, m in methods if s.name == "__call__"), ("", ""))
    made = partial(Shape, definition.canonical, "class", returns=returns, takes=takes, gives=gives, members=members)
    if not family[0].is_plain:
        raise Unsettled
    for position, (class_node, class_module, is_dataclass, _) in enumerate(family):
        init = next((s for s in class_node.body if isinstance(s, ast.FunctionDef) and s.name in ("__init__", "__new__")), None)
        if init is not None:
            return made(tuple(_arguments(init.args, class_module, search))[1:], accepts_any=init.args.kwarg is not None)
        if is_dataclass and is_complete:
            return made(_fields(family[position:], search))
    if not is_complete:
        raise Unsettled
    return made(())


def _call(method: ast.FunctionDef | ast.AsyncFunctionDef, module: Module, search: Sequence[Path]) -> tuple[str, str]:
    """The annotations of what an object is called with, behind `self`, and of what that returns."""
    behind = [*method.args.posonlyargs, *method.args.args][1:]
    return resolve(behind[0].annotation, module, search) if behind else "", resolve(method.returns, module, search)


def _family(node: ast.ClassDef, module: Module, search: Sequence[Path]) -> tuple[list[_Class], bool]:
    """The class and its bases in the order in which Python looks them up; False where a base could not be read."""
    is_plain = _all_transparent([d for d in node.decorator_list if not _is_dataclass(d, module, search)], module, search)
    is_dataclass = any(_is_dataclass(d, module, search) for d in node.decorator_list)
    is_complete = not node.keywords or all(k.arg == "metaclass" and dotted(k.value) == ("ABCMeta",) for k in node.keywords)
    family = [_Class(node, module, is_dataclass, is_plain)]
    for base in node.bases:
        chain = dotted(base.value if isinstance(base, ast.Subscript) else base)
        name = canonical_name(chain, module, search) if chain else ""
        if name in _NO_FIELDS:
            continue
        inherited, complete = _base(name, search)
        is_complete = is_complete and complete
        family = [c for c in family if all(c.node is not i.node for i in inherited)] + inherited
    return family, is_complete


def _base(name: str, search: Sequence[Path]) -> tuple[list[_Class], bool]:
    try:
        definition = define(name, search)
        if definition.origin not in ("user", "own"):
            return [], False
        node, module = _statement(definition)
    except (ConfigError, Unsettled):
        return [], False
    return _family(node, module, search) if isinstance(node, ast.ClassDef) else ([], False)


def _all_transparent(decorators: Sequence[ast.expr], module: Module, search: Sequence[Path]) -> bool:
    return all((chain := dotted(d)) and canonical_name(chain, module, search) in _TRANSPARENT for d in decorators)


def _is_dataclass(node: ast.expr, module: Module, search: Sequence[Path]) -> bool:
    """`@dataclass`, with its options, unless one of them says that it makes no `__init__`."""
    call = node if isinstance(node, ast.Call) else None
    chain = dotted(call.func if call else node)
    if not chain or canonical_name(chain, module, search) != "dataclasses.dataclass":
        return False
    return not (call and any(k.arg in ("init", None) for k in call.keywords))


def _fields(family: Sequence[_Class], search: Sequence[Path]) -> tuple[Parameter, ...]:
    fields: dict[str, Parameter] = {}
    for node, module, is_dataclass, is_plain in reversed(family):
        if not is_plain:
            raise Unsettled
        for statement in node.body if is_dataclass else ():
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                parameter = _field(statement, statement.target.id, module, search)
                fields.pop(statement.target.id, None) if parameter is None else fields.update({parameter.name: parameter})
    return tuple(fields.values())


def _field(node: ast.AnnAssign, name: str, module: Module, search: Sequence[Path]) -> Parameter | None:
    annotation = resolve(node.annotation, module, search)
    bare = annotation.partition("[")[0]
    if bare in ("typing.ClassVar", "dataclasses.KW_ONLY"):
        return None
    if bare == "dataclasses.InitVar":
        annotation = annotation[len(bare) + 1 : -1]
    made = partial(Parameter, name, ast.unparse(node.annotation), annotation)
    if node.value is None:
        return made()
    options = _field_options(node.value, module, search)
    if options is None:
        return made(required=False, **_default(node.value, module))
    if (init := options.get("init")) is not None and isinstance(init, ast.Constant) and init.value is False:
        return None
    identity = _has_identity(options.get("metadata"), module, search)
    if "default" in options:
        return made(required=False, identity=identity, **_default(options["default"], module))
    if "default_factory" in options:
        return made(required=False, identity=identity, **_made_by(options["default_factory"], module))
    return made(identity=identity)


def _field_options(node: ast.expr, module: Module, search: Sequence[Path]) -> dict[str, ast.expr] | None:
    """The keywords of a `field(...)`; None where the value is none."""
    chain = dotted(node.func) if isinstance(node, ast.Call) else None
    if not chain or canonical_name(chain, module, search) != "dataclasses.field":
        return None
    assert isinstance(node, ast.Call)
    if any(k.arg is None for k in node.keywords):
        raise Unsettled
    return {k.arg: k.value for k in node.keywords if k.arg}


def _has_identity(metadata: ast.expr | None, module: Module, search: Sequence[Path]) -> bool:
    if metadata is None:
        return True
    if chain := dotted(metadata):
        return canonical_name(chain, module, search) != _NO_IDENTITY
    try:
        return ast.literal_eval(metadata).get("identity", True)
    except (ValueError, AttributeError):
        raise Unsettled from None


def _default(node: ast.expr, module: Module) -> dict[str, Any]:
    """The default's value where it is a literal, a constant of the module, or a `Ref("...")`."""
    if isinstance(node, ast.Call) and dotted(node.func) in (("Ref",), ("raypipe", "Ref")) and len(node.args) == 1:
        node = node.args[0]
    if isinstance(node, ast.Name) and len(bound := module.bindings.get(node.id, [])) == 1:
        node = getattr(bound[0], "value", None) or node
    try:
        return {"default": ast.literal_eval(node), "default_known": True}
    except ValueError:
        return {}


def _made_by(factory: ast.expr, module: Module) -> dict[str, Any]:
    if isinstance(factory, ast.Lambda):
        return _default(factory.body, module)
    if isinstance(factory, ast.Name) and factory.id in _EMPTY and factory.id not in module.bindings:
        return {"default": _EMPTY[factory.id], "default_known": True}
    return {}


def _arguments(arguments: ast.arguments, module: Module, search: Sequence[Path]) -> Iterator[Parameter]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    for argument, default in [*zip(positional, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]:
        annotation = ast.unparse(argument.annotation) if argument.annotation else ""
        made = partial(Parameter, argument.arg, annotation, resolve(argument.annotation, module, search))
        yield made() if default is None else made(required=False, **_default(default, module))


def _names(statement: ast.stmt) -> Iterator[str]:
    """Names that a statement of a class body gives a value."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        yield from (t.id for t in statement.targets if isinstance(t, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value is not None:
        yield statement.target.id
