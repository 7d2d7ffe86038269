"""A target's shape by importing its module: for what reading the source does not settle."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from raypipe.code.shape import Parameter, Shape
from raypipe.code.target import Definition
from raypipe.core.errors import ConfigError, nearest


def read(target: str, definition: Definition, search: Sequence[Path]) -> Shape:
    """The shape of the imported object. Raises ConfigError where the import fails, the name is not there, or it is no class or function."""
    found: Any = imported(definition.module, search)
    for name in definition.qualname.split("."):
        if not hasattr(found, name):
            where = getattr(found, "__qualname__", getattr(found, "__name__", definition.module))
            raise ConfigError(f"{where} has no '{name}'.{nearest(name, [n for n in dir(found) if not n.startswith('_')])}")
        found = getattr(found, name)
    if not callable(found):
        raise ConfigError(f"'{target}' is a {type(found).__name__}; a class or a function is needed")
    is_class = inspect.isclass(found)
    parameters, accepts_any = _parameters(found, target)
    returns = getattr(getattr(found, "run", None) if is_class else found, "__annotations__", {}).get("return", "")
    members = frozenset(n for c in found.__mro__[:-1] for n in vars(c)) if is_class else frozenset()
    kind = "class" if is_class else "function"
    takes, gives = _call(found) if is_class else (parameters[0].resolved if parameters else "", _text(returns))
    return Shape(_canonical(found, definition), kind, parameters, _text(returns), takes, gives, members=members, accepts_any=accepts_any)


def imported(module: str, search: Sequence[Path]) -> Any:
    """The module itself, with `search` first on the import path. Raises ConfigError that says in one line why it failed."""
    with _searching(search):
        try:
            return import_module(module)
        except (Exception, SystemExit) as error:
            causes = [error, *_causes(error)]
            why = "; because of ".join(f"{type(e).__name__}: {e}".splitlines()[0] for e in causes)
            raise ConfigError(f"'{module}' cannot be imported: {why}") from error


def _call(found: type) -> tuple[str, str]:
    """The annotations of what an object of the class is called with, and of what that returns."""
    call = vars(found).get("__call__") or next((vars(c)["__call__"] for c in found.__mro__ if "__call__" in vars(c)), None)
    annotations = dict(getattr(call, "__annotations__", {}))
    gives = annotations.pop("return", "")
    return _text(next(iter(annotations.values()), "")), _text(gives)


@contextmanager
def _searching(search: Sequence[Path]) -> Iterator[None]:
    added = [str(p) for p in search if str(p) not in sys.path]
    sys.path[:0] = added
    try:
        yield
    finally:
        for path in added:
            if path in sys.path:
                sys.path.remove(path)


def _causes(error: BaseException) -> Iterator[BaseException]:
    while error := error.__cause__:  # pyright: ignore[reportAssignmentType]
        yield error


def _canonical(found: Any, definition: Definition) -> str:
    """Where it says that it is defined; a partial or an instance is known by the name that it is bound to."""
    inner = getattr(found, "func", None)
    thing = inner if callable(inner) and not hasattr(found, "__qualname__") else found
    module, qualname = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if thing is not found and module in sys.stdlib_module_names:
        return f"{module}.{qualname}"
    if thing is not found or not module or not qualname or "<" in qualname:
        return definition.canonical
    return f"{module}.{qualname}" if module == definition.module or definition.origin != "user" else _shorter(module, qualname, definition)


def _shorter(module: str, qualname: str, definition: Definition) -> str:
    """A user's name bound to something of another module: that module's, where it is refused by it; else the user's."""
    from raypipe.code.target import refused

    return f"{module}.{qualname}" if refused(f"{module}.{qualname}") else definition.canonical


def _parameters(found: Any, target: str) -> tuple[tuple[Parameter, ...], bool]:
    try:
        signature = inspect.signature(found)
    except (ValueError, TypeError):
        return (), True  # built in C without a signature: any argument may be right
    fields = {f.name: f for f in dataclasses.fields(found)} if dataclasses.is_dataclass(found) else {}
    parameters = []
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        field = fields.get(parameter.name)
        annotation = "" if parameter.annotation is parameter.empty else _text(parameter.annotation)
        default, known = _default(parameter, field)
        identity = field is None or field.metadata.get("identity", True) is not False
        required = parameter.default is parameter.empty
        parameters.append(Parameter(parameter.name, annotation, annotation, required, default, known, identity))
    return tuple(parameters), any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())


def _default(parameter: inspect.Parameter, field: Any) -> tuple[Any, bool]:
    if parameter.default is parameter.empty:
        return None, False
    value = parameter.default
    if field is not None and field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    is_plain = value is None or isinstance(value, (bool, int, float, str, list, tuple, dict))
    return (value, True) if is_plain else (None, False)


def _text(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__qualname__ if annotation.__module__ == "builtins" else f"{annotation.__module__}.{annotation.__qualname__}"
    return "None" if annotation is None else str(annotation)
