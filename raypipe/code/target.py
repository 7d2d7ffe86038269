"""What an import path in a config names: followed to where it is defined, and refused where it would load or run what a file says."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raypipe.code.module import Imported, Module, Origin, find, load, submodule, unknown
from raypipe.core.errors import ConfigError, nearest

_REFUSED = frozenset(
    (
        *("_pytest", "asteval", "cffi", "cloudpickle", "cython", "dill", "distutils", "execnet", "fabric", "hydra", "invoke", "IPython"),
        *("joblib.load", "joblib.memory", "joblib.Memory", "joblib.numpy_pickle", "joblib.externals", "jsonpickle", "mlflow", "numba.core"),
        *(
            "keras.models.load_model",
            "keras.saving",
            "keras.src.saving",
            "numexpr",
            "omegaconf",
            "paramiko",
            "pexpect",
            "pip",
            "pkg_resources",
        ),
        *("numpy.ctypeslib", "numpy.distutils", "numpy.f2py", "numpy.lib._npyio_impl", "numpy.lib.npyio", "numpy.load", "numpy.testing"),
        *("pandas.core.computation", "pandas.eval", "pandas.io.common", "pandas.io.pickle", "pandas.io.sql", "pandas.read_pickle"),
        *("plumbum", "polars.LazyFrame.deserialize", "polars.DataFrame.deserialize", "psutil.Popen", "pydantic.v1.utils", "pytest"),
        *("ray.cloudpickle", "ray.init", "ray.remote", "ray._private", "ray.util.accelerators", "setuptools", "sh", "six", "skops.io"),
        *("sympy.parsing", "sympy.sympify", "sympy.core.sympify", "tensorflow.keras.models.load_model", "tensorflow.saved_model"),
        *("torch._C", "torch._dynamo", "torch._inductor", "torch.classes", "torch.hub", "torch.jit", "torch.load", "torch.ops"),
        *("torch.multiprocessing", "torch.package", "torch.serialization", "torch.utils.cpp_extension", "torch.utils.model_zoo"),
        *("uvicorn", "virtualenv", "wandb", "werkzeug.utils", "yaml"),
    )
)
"""Installed functions that unpickle, evaluate, import by name or start processes; by module, or by module and name."""


@dataclass(frozen=True)
class Definition:
    """Where a target is defined, as far as reading tells."""

    module: str
    qualname: str
    origin: Origin
    parsed: Module | None
    """None where the module has no source to read."""

    @property
    def canonical(self) -> str:
        return f"{self.module}.{self.qualname}"


def define(target: str, search: Sequence[Path]) -> Definition:
    """The definition behind an import path, `from x import y` followed. Raises ConfigError where there is no such module or name."""
    parts = target.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise ConfigError(f"'{target}' is no import path: write module.name, as in flights.add_hour")
    for depth in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:depth])
        if find(name, search):
            return follow(Imported(name), tuple(parts[depth:]), search)
    raise ConfigError(f"cannot find '{target}': {unknown(parts[0], search)}")


def follow(origin: Imported, rest: tuple[str, ...], search: Sequence[Path]) -> Definition:
    """Where the chain `rest` of names, taken from what `origin` imports, is defined."""
    chain = (origin.attribute, *rest) if origin.attribute else rest
    name = origin.module
    for _ in range(50):  # more hops than that are re-exports in a circle
        found = find(name, search)
        if found is None:
            raise ConfigError(unknown(name, search))
        if not chain:
            raise ConfigError(f"'{name}' is a module; name a class or a function in it")
        module = load(name, search)
        following = _hop(name, chain, module, search)
        if following is None:
            return Definition(name, ".".join(chain), found.origin, module)
        name, chain = following
    raise ConfigError(f"'{origin.module}.{'.'.join(rest)}' is imported in a circle")


def _hop(name: str, chain: tuple[str, ...], module: Module | None, search: Sequence[Path]) -> tuple[str, tuple[str, ...]] | None:
    """The next module to look in, and what for; None where the name is bound here, or reading does not tell."""
    if name == "raypipe" and (exporter := _exports().get(chain[0])):
        return exporter, chain
    if module is None:
        inner = f"{name}.{chain[0]}"
        return (inner, chain[1:]) if len(chain) > 1 and find(inner, search) else None
    if chain[0] in module.bindings:
        return None
    if origin := module.imports.get(chain[0]):
        return origin.module, ((origin.attribute, *chain[1:]) if origin.attribute else chain[1:])
    if inner := submodule(module, chain[0], search):
        return inner, chain[1:]
    for star in module.stars:
        if (other := load(star, search)) and (chain[0] in other.bindings or chain[0] in other.imports):
            return star, chain
    return None


def missing(definition: Definition) -> str:
    """What to say where the module is read and does not bind the name; empty where it does, or may do so in a way not seen by reading."""
    module, name = definition.parsed, definition.qualname.partition(".")[0]
    if module is None or name in module.bindings or module.stars or "__getattr__" in module.bindings or "globals(" in module.source:
        return ""
    if definition.origin == "installed":
        return ""
    return f"{definition.module} has no '{name}'.{nearest(name, {*module.bindings, *module.imports})}"


def refused(canonical: str) -> str:
    """Why a target may not be named in a config; empty where it may."""
    parts = canonical.split(".")
    if parts[0] in sys.stdlib_module_names:
        return f"'{canonical}' is of Python's standard library, which a config may not call; wrap it in a function of yours"
    if any(".".join(parts[:n]) in _REFUSED for n in range(1, len(parts) + 1)):
        return f"'{canonical}' may load or run what a file says, so a config may not call it; wrap what you need in a function of yours"
    return ""


def target_of(thing: Any) -> str:
    """The import path of a class or function, as a config would name it.

    Raises ConfigError for what has none: a lambda, a local function.
    """
    module, qualname = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not module or not qualname or "<" in qualname:
        raise ConfigError(f"{thing!r} has no import path: define it as a function or class at the top level of a module")
    if module == "__main__" and (file := getattr(sys.modules["__main__"], "__file__", None)):
        module = Path(file).stem
    return f"{module}.{qualname}"


def _exports() -> dict[str, str]:
    import raypipe

    return getattr(raypipe, "_EXPORTS", {})
