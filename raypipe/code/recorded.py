"""Code of the user's as a run recorded it: source text with digests, run from there and never from the working tree."""

from __future__ import annotations

import builtins
import hashlib
import json
import linecache
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from raypipe.core.artifact import Json
from raypipe.core.errors import StoreError

if TYPE_CHECKING:
    from raypipe.code.closure import Closure
    from raypipe.code.shape import Shape

_PREFIX = "raypipe_recorded_"
_lock = threading.RLock()


@dataclass(frozen=True)
class UserCode:
    """A component whose code is the user's: not imported before it is used, and then from what was recorded of its source."""

    target: str
    """Import path of the class or function."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Its arguments."""
    recorded: Json = None
    """Its source closure, as `record` gives it; None for installed code, which is imported."""
    shape: Shape | None = None
    """What it is and takes, as its source says it."""

    @property
    def annotations(self) -> tuple[str, str]:
        """What it is called with and what that returns, each name as its import path; empty where nothing is annotated."""
        return (self.shape.takes, self.shape.gives) if self.shape else ("", "")

    def load(self) -> Any:
        """The class or function itself; the arguments are the caller's to bind."""
        return load(self.recorded, self.target)

    def load_apart(self) -> Any:
        """The same in modules of its own that nobody finds by their names: Ray sends what they define, and no name of a module that a
        worker lacks."""
        with _lock:
            found = _take_modules(self.recorded)
            try:
                return self.load()
            finally:
                _take_modules(self.recorded)
                sys.modules.update(found)


def record(closure: Closure) -> dict[str, Json]:
    """The closure as JSON: `entry`, `closure` (its digest), `modules` (name -> source, sha256, is_package) and `sha256` over all of it."""
    modules = {
        name: {"source": source, "sha256": _sha256(source), "is_package": name in closure.packages}
        for name, source in closure.modules.items()
    }
    document = {"entry": closure.entry, "closure": closure.digest, "modules": modules}
    return {**document, "sha256": _digest(document)}


def load(recorded: Mapping[str, Json] | None, target: str = "") -> Any:
    """The class or function that was recorded, run from its recorded text; with None, `target` as it is installed.

    Each recording has modules of its own under a private name, so that two versions of one module live at once; what it imports is
    looked for among them first, and a module of the user's that was not recorded is not found. Every digest is checked before anything
    runs; raises StoreError where the text is not what was recorded. Ship the recorded dict to a worker and load it there: the function
    itself cannot be pickled.
    """
    if recorded is None:
        return _installed(target)
    with _lock:
        program = _Program.of(recorded)
        module, _, qualname = recorded["entry"].partition(":")
        found: Any = program.module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    return found


def verify(recorded: Mapping[str, Json]) -> None:
    """Raises StoreError where a text or the whole is not what was recorded."""
    for name, module in recorded["modules"].items():
        if _sha256(module["source"]) != module["sha256"]:
            raise StoreError(f"the recorded source of module '{name}' is not what was recorded: its sha256 differs")
    if _digest({k: v for k, v in recorded.items() if k != "sha256"}) != recorded["sha256"]:
        raise StoreError(f"the recorded code of '{recorded['entry']}' is not what was recorded: its sha256 differs")


def _take_modules(recorded: Mapping[str, Json] | None) -> dict[str, ModuleType]:
    """The modules of a recording that are loaded, no longer to be found by their names."""
    prefix = _Program.of(recorded).prefix if recorded else None
    return {name: sys.modules.pop(name) for name in list(sys.modules) if prefix and name.startswith(prefix)}


class _Program:
    """The modules of one recording, run when first imported."""

    _loaded: ClassVar[dict[str, _Program]] = {}

    @classmethod
    def of(cls, recorded: Mapping[str, Json]) -> _Program:
        """One program a digest and process, so that a class loaded twice is one class."""
        verify(recorded)
        return cls._loaded.setdefault(recorded["sha256"], cls(recorded))

    def __init__(self, recorded: Mapping[str, Json]):
        self.prefix = f"{_PREFIX}{recorded['sha256'][:16]}."
        self.recorded = recorded["modules"]
        self.packages = {n.rsplit(".", i)[0] for n in self.recorded for i in range(1, n.count(".") + 1)} - set(self.recorded)
        self.tops = {name.partition(".")[0] for name in self.recorded}

    def holds(self, name: str) -> bool:
        return name in self.recorded or name in self.packages

    def module(self, name: str) -> ModuleType:
        """The module of that name, with its packages; run on first use, and found half-run by one that imports it in a circle."""
        if loaded := sys.modules.get(self.prefix + name):
            return loaded
        parent, _, last = name.rpartition(".")
        package = self.module(parent) if parent else None
        if loaded := sys.modules.get(self.prefix + name):
            return loaded
        module = self._made(name)
        sys.modules[module.__name__] = module
        try:
            if name in self.recorded:
                exec(compile(self.recorded[name]["source"], str(module.__file__), "exec", dont_inherit=True), module.__dict__)
        except BaseException:
            del sys.modules[module.__name__]
            raise
        if package is not None:
            setattr(package, last, module)
        return module

    def _made(self, name: str) -> ModuleType:
        module = ModuleType(self.prefix + name)
        is_package = name in self.packages or self.recorded[name]["is_package"]
        module.__package__ = module.__name__ if is_package else module.__name__.rpartition(".")[0]
        if is_package:
            module.__path__ = []
        if name in self.recorded:
            source = self.recorded[name]["source"]
            module.__file__ = f"<recorded {self.prefix[len(_PREFIX) : -1]}>/{name.replace('.', '/')}.py"
            linecache.cache[module.__file__] = (len(source), None, source.splitlines(keepends=True), module.__file__)
        package = name if is_package else name.rpartition(".")[0]
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _Import(self, package)}
        return module


class _Import:
    """`__import__` as the modules of one package see it: recorded modules first, then what is installed."""

    def __init__(self, program: _Program, package: str):
        self.program, self.package = program, package

    def __call__(self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        full = self._absolute(name, level)
        if full.partition(".")[0] not in self.program.tops:
            _refuse_working_tree(full)
            return builtins.__import__(name, globals, locals, fromlist, level)
        with _lock:
            module = self._recorded(full)
            for attribute in self._wanted(module, fromlist):
                if not hasattr(module, attribute) and self.program.holds(f"{full}.{attribute}"):
                    self.program.module(f"{full}.{attribute}")
            return module if fromlist else self.program.module(name.partition(".")[0])

    def _absolute(self, name: str, level: int) -> str:
        if not level:
            return name
        base = self.package.rsplit(".", level - 1)[0] if level > 1 else self.package
        return f"{base}.{name}" if name else base

    def _recorded(self, full: str) -> ModuleType:
        if not self.program.holds(full):
            raise ModuleNotFoundError(f"No module named '{full}' among the recorded ones", name=full)
        return self.program.module(full)

    def _wanted(self, module: ModuleType, fromlist: Any) -> list[str]:
        names: list[str] = list(fromlist or ())
        return [*names, *getattr(module, "__all__", ())] if "*" in names else names


def _refuse_working_tree(name: str) -> None:
    """A module of the user's that was not recorded must not be taken from where the process happens to run."""
    if _lies_in_working_tree(name.partition(".")[0]):
        raise ModuleNotFoundError(f"No module named '{name}' among the recorded ones; the one in the working tree is not used", name=name)


@lru_cache(maxsize=1024)
def _lies_in_working_tree(top: str) -> bool:
    from raypipe.code.module import find

    found = find(top, ())
    return found is not None and found.origin == "user" and top != "__main__"


def _installed(target: str) -> Any:
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _digest(document: Mapping[str, Json]) -> str:
    """Over names and digests, not over the texts again."""
    modules = {name: [m["sha256"], m["is_package"]] for name, m in document["modules"].items()}
    return _sha256(json.dumps({**document, "modules": modules}, sort_keys=True, separators=(",", ":")))
