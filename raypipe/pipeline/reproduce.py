"""A model made again from what its run kept, in a ledger and store of its own, and compared step by step with what it was."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from raypipe.code.distribution import installed
from raypipe.core.artifact import Artifact, Evaluation, Json, Model, Table
from raypipe.core.cluster import Cluster, Local
from raypipe.core.errors import ConfigError, Problem
from raypipe.core.ledger import Ledger
from raypipe.core.place import MARK, Place
from raypipe.core.step import Work
from raypipe.core.store import Store
from raypipe.pipeline.act import act
from raypipe.pipeline.build import component
from raypipe.pipeline.compare import Change
from raypipe.pipeline.fingerprint import own_class
from raypipe.pipeline.options import Options, StepEvent
from raypipe.pipeline.original import Original
from raypipe.pipeline.plan import Scene
from raypipe.pipeline.run import RunResult, run
from raypipe.pipeline.why import difference

Verdict = Literal["same bytes", "within bounds", "differs", "not made"]
WITHIN = 0.01
"""Share by which figures may differ where bytes need not be the same."""
SMALLEST = 1e-3
"""Differences below this are none, whatever share they are."""


@dataclass(frozen=True)
class Compared:
    """One step beside what it was."""

    step: str
    kind: str
    verdict: Verdict
    what: str = ""
    """The figure that differs most, or why it is not the same."""


@dataclass(frozen=True)
class Reproduction:
    """A model made again."""

    version: str
    original: str
    """The run that had made it."""
    run: str
    error: str = ""
    steps: list[Compared] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_equal(self) -> bool:
        return not self.error and all(step.verdict in ("same bytes", "within bounds") for step in self.steps)


def environment(original: Original) -> tuple[list[Change], list[Change]]:
    """What differs here from where the model was made: what shaped it, and the rest."""
    then, now = original.environment, {"python": platform.python_version(), "platform": platform.platform()}
    shaping = {name for identity in original.identities.values() for name in identity.get("versions", {})}
    before, after = then["distributions"], installed()
    changes = [Change(name, then[name], now[name]) for name in now if then[name] != now[name]]
    rest = [Change(n, before.get(n), after.get(n)) for n in sorted({*before, *after}) if before.get(n) != after.get(n)]
    return changes + [c for c in rest if c.what in shaping], [c for c in rest if c.what not in shaping]


def reproduced(
    original: Original, scene: Scene, folder: Path, within: float = WITHIN, on_event: Callable[[StepEvent], None] = lambda event: None
) -> Reproduction:
    """Made again in `folder`, which is new and becomes a project of its own. Works where its code was changed, and its source moved on."""
    again = _scene(original, scene, folder)
    try:
        snapshots = {}
        for step, table in original.sources.items():
            there = _brought(again, scene, table)
            snapshots[step] = there.name, there.snapshot
        options = Options(cluster=_cluster(original), on_event=on_event, command=f"raypipe reproduce {original.version}")
        result = run(original.rerun(snapshots), again, options)
        steps = list(_compared(original, result, again.ledger, within))
        return Reproduction(original.version, original.run.id, result.id, result.error, steps, result.seconds)
    finally:
        again.ledger.close()


def _scene(original: Original, scene: Scene, folder: Path) -> Scene:
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError([Problem(str(folder), "there is something already; name a folder that is new.")])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text(f"project = {json.dumps(scene.place.name)}\n")
    original.write_code(folder)
    for name in original.code:  # of the working tree, if this process has imported it
        sys.modules.pop(name, None)
    place = Place(folder, scene.place.name, f"sqlite:///{folder / '.raypipe' / 'ledger.db'}", str(folder / ".raypipe" / "store"))
    return Scene(place, Ledger.open(place.ledger_url, place.name), Store.open(place.store_root))


def _brought(again: Scene, scene: Scene, table: Table) -> Table:
    """The snapshot under its name in the new ledger: the very bytes."""
    from raypipe.data.lake.bring import bring

    def change(work: Work) -> Any:
        return bring(work, scene.ledger, scene.store, table)

    return cast(Table, act(again, "bring", table.name, change, report=lambda text: None))


def _cluster(original: Original) -> Cluster:
    """As the run had it, where its config says so without references."""
    config = original.run.config
    node = config.get("cluster") if isinstance(config, Mapping) else None
    if not isinstance(node, Mapping) or "${" in json.dumps(node):
        return Local()
    return component(dict(node), ())


def _compared(original: Original, result: RunResult, ledger: Ledger, within: float) -> Iterator[Compared]:
    for name, before in original.artifacts.items():
        step = result.steps.get(name)
        after = step.artifact if step is not None else None
        if step is None or after is None:
            yield Compared(name, before.kind, "not made", step.why if step else "the run ended before")
        elif after.digest == before.digest:
            yield Compared(name, before.kind, "same bytes")
        else:
            now, then = ledger.identity(after.id) or {}, original.identities[name]
            why = difference(then, now, original.pipeline.nodes[name].refs)
            exact = isinstance(before, Table) or _is_exact(original, name, then, now)
            yield _by_figures(name, before, after, 0.0 if exact else within, "" if name in original.sources else why)


def _is_exact(original: Original, name: str, then: Mapping[str, Json], now: Mapping[str, Json]) -> bool:
    """Whether the bytes must be the same: a training by torch in one process on the CPU, under the versions of then."""
    model = original.pipeline.nodes[name].settings.get("model")
    target = model.get("_target_", "") if isinstance(model, Mapping) else ""
    libraries = getattr(own_class(target), "distributions", ()) if target.startswith("raypipe.") else ()
    return "torch" in libraries and then.get("versions") == now.get("versions") and then.get("inputs") == now.get("inputs")


def _by_figures(name: str, before: Artifact, after: Artifact, within: float, why: str) -> Compared:
    """Their floats side by side; the largest difference is told."""
    if not within or not isinstance(before, Model | Evaluation):
        return Compared(name, before.kind, "differs", why or "other bytes of the same input, code and settings")
    a, b = (dict(_floats(artifact.figures)) for artifact in (before, after))
    apart = {key: _apart(a.get(key), b.get(key)) for key in {*a, *b}}
    worst = max(apart, key=apart.__getitem__, default="")
    told = f"{worst} {_text(a.get(worst))} -> {_text(b.get(worst))}" if worst and apart[worst] else "its figures are the same"
    if worst and apart[worst] > within:
        return Compared(name, before.kind, "differs", "; ".join(filter(None, (told, why))))
    return Compared(name, before.kind, "within bounds", f"{told} (within {within:.0%})")


def _floats(value: Json, where: str = "") -> Iterator[tuple[str, float]]:
    """The numbers that measure: counts follow from them, and times are of the machine."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _floats(each, f"{where}.{key}" if where else str(key))
    elif isinstance(value, float) and not where.endswith(("_s", "seconds", "_ms", "export_difference")):
        yield where, value


def _apart(a: float | None, b: float | None) -> float:
    """The share by which they differ."""
    if a is None or b is None:
        return float("inf")
    return 0.0 if abs(a - b) <= SMALLEST else abs(a - b) / max(abs(a), abs(b))


def _text(value: float | None) -> str:
    return "(not there)" if value is None else f"{value:.6g}"
