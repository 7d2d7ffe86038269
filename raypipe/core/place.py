"""Where a project's things lie: its folder, its ledger and its store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from raypipe.core.errors import ConfigError, Problem, nearest
from raypipe.core.retention import Retention, retention

MARK = "raypipe.toml"
SETTINGS = ("project", "retention")
"""The keys that raypipe.toml may have."""


@dataclass(frozen=True)
class Place:
    """A project's folder, and what lies elsewhere only where the environment says so."""

    path: Path
    """The project's folder: relative source paths start here, and it is on the import path of driver and workers."""
    name: str
    """The project: every row of the ledger stands under it."""
    ledger_url: str
    """`.raypipe/ledger.db` in the folder, unless RAYPIPE_LEDGER is set."""
    store_root: str
    """`.raypipe/store` in the folder, unless RAYPIPE_STORE is set."""
    retention: Retention = Retention()
    """What may go of all that, and when."""


def find_project(config_dir: Path | None, start: Path, environ: Mapping[str, str] = os.environ) -> Place:
    """The parent of the config folder, else the nearest folder upwards from `start` with a raypipe.toml, else `start`. Makes nothing."""
    path = config_dir.absolute().parent if config_dir else _nearest_marked(start.absolute())
    path = Path(os.path.normpath(path))
    inside = path / ".raypipe"
    ledger = environ.get("RAYPIPE_LEDGER") or str(inside / "ledger.db")
    store = environ.get("RAYPIPE_STORE") or str(inside / "store")
    name, policy = _settings(path)
    return Place(path, name, _as_url(ledger, path), _as_root(store, path), policy)


def _nearest_marked(start: Path) -> Path:
    return next((folder for folder in (start, *start.parents) if (folder / MARK).is_file()), start)


def _settings(path: Path) -> tuple[str, Retention]:
    """What raypipe.toml says; the name is the folder's unless it says `project = "x"`."""
    file = path / MARK
    if not file.is_file():
        return path.name or "project", Retention()
    import tomllib

    try:
        settings = tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([Problem(str(file), f"cannot be read: {error}")]) from None
    problems = [
        Problem(f"{file}: {key}", f"is no setting of raypipe's.{nearest(key, SETTINGS)}") for key in settings if key not in SETTINGS
    ]
    name = settings.get("project", path.name)
    if not isinstance(name, str) or not name.strip():
        problems.append(Problem(f"{file}: project", f'is {name!r}; expected a name, as in `project = "flights"`'))
    policy, more = retention(settings.get("retention", {}), f"{file}: retention")
    if problems or more:
        raise ConfigError([*problems, *more])
    return name, policy


def _as_url(ledger: str, path: Path) -> str:
    """A plain path will do for a ledger: it is SQLite's then, and relative to the project's folder."""
    if "://" not in ledger:
        return f"sqlite:///{path / Path(ledger).expanduser()}"
    scheme, _, rest = ledger.partition(":///")
    if scheme == "sqlite" and rest and not rest.startswith("/"):
        return f"sqlite:///{path / rest}"
    return ledger


def _as_root(store: str, path: Path) -> str:
    return store if "://" in store else str(path / Path(store).expanduser())
