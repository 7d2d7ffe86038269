"""Two runs side by side: what differs in config, code, data, environment and figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import unified_diff
from typing import Any

from raypipe.core.artifact import Artifact, Json
from raypipe.core.errors import ConfigError, nearest
from raypipe.core.ledger import Ledger, Run
from raypipe.pipeline.why import difference

ABSENT = "(not there)"


@dataclass(frozen=True)
class Change:
    """One thing that the runs do not have in common."""

    what: str
    """A key of the config, a distribution, a figure such as `evaluate.auc`."""
    before: Json
    after: Json


@dataclass(frozen=True)
class StepChange:
    """What became of one step in both runs, where it is not the same artifact."""

    step: str
    before: str
    """Its state in the first run, ABSENT where it has no such step."""
    after: str
    why: str
    """What differs in its settings, code, inputs and libraries; empty where nothing does."""
    same_content: bool
    """Whether both made the same bytes."""


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs; nothing in a list is nothing that differs."""

    before: Run
    after: Run
    config: list[Change] = field(default_factory=list)
    code: list[Change] = field(default_factory=list)
    """Modules of the user's by name, with their sources."""
    steps: list[StepChange] = field(default_factory=list)
    environment: list[Change] = field(default_factory=list)
    figures: list[Change] = field(default_factory=list)
    unknown: tuple[str, ...] = ()
    """Of which run it is not known with what it ran: it had nothing to do."""

    @property
    def is_empty(self) -> bool:
        return not (self.config or self.code or self.steps or self.environment or self.figures)

    def code_lines(self) -> Iterator[str]:
        """The changed modules as a unified diff."""
        for change in self.code:
            before, after = ("" if text is None else text for text in (change.before, change.after))
            yield from unified_diff(before.splitlines(), after.splitlines(), f"{self.before.id}/{change.what}", change.what, lineterm="")


def compared(ledger: Ledger, before: str, after: str) -> Comparison:
    """ConfigError where there is no such run."""
    runs = found(ledger, before), found(ledger, after)
    kept = [ledger.kept(run) for run in runs]
    known = all(kept)
    a, b = (_artifacts(ledger, run.id) for run in runs)
    return Comparison(
        *runs,
        config=_changes(*(dict(_flat(run.config or {})) for run in runs)),
        code=_changes(*({n: m["source"] for n, m in k["code"].items()} for k in kept)) if known else [],
        steps=list(_steps(ledger, *runs, _sources(kept[1]))),
        environment=_changes(*map(_environment, kept)) if known else [],
        figures=_changes(dict(_figures(a)), dict(_figures(b))),
        unknown=tuple(run.id for run, k in zip(runs, kept, strict=True) if not k),
    )


def found(ledger: Ledger, name: str) -> Run:
    """The run of that name, or the only one whose name begins or ends so. ConfigError with the nearest name."""
    if run := ledger.run(name):
        return run
    names = [run.id for run in ledger.runs(10_000)]
    fitting = [n for n in names if n.startswith(name) or n.endswith(name)]
    if len(fitting) == 1:
        return found(ledger, fitting[0])
    hint = nearest(name, names)
    close = hint if hint.startswith(" Did") else ""  # the list of all may be long
    what = f"{len(fitting)} runs are named so: {', '.join(fitting[:5])}." if fitting else f"there is no run '{name}'.{close}"
    raise ConfigError(f"{what} `raypipe runs` lists them.")


def _artifacts(ledger: Ledger, run: str) -> dict[str, Artifact]:
    made = {step.step: ledger.artifact(step.artifact) for step in ledger.steps(run) if step.artifact}
    return {name: artifact for name, artifact in made.items() if artifact is not None}


def _sources(kept: Mapping[str, Json]) -> dict[str, Mapping[str, str | None]]:
    """By step: which step each of its edges reads."""
    return {name: node["refs"] for name, node in kept["pipeline"]["nodes"].items()} if kept else {}


def _steps(ledger: Ledger, before: Run, after: Run, sources: Mapping[str, Mapping[str, str | None]]) -> Iterator[StepChange]:
    a, b = ({step.step: step for step in ledger.steps(run.id)} for run in (before, after))
    made = [_artifacts(ledger, run.id) for run in (before, after)]
    for name in dict.fromkeys([*a, *b]):
        one, other = (side.get(name) for side in made)
        if name in a and name in b and a[name].artifact == b[name].artifact and (one or a[name].state == b[name].state):
            continue
        was, now = (side[name].state if name in side else ABSENT for side in (a, b))
        why = difference(_identity(ledger, one), _identity(ledger, other) or {}, sources.get(name, {})) if one and other else ""
        yield StepChange(name, was, now, why, bool(one and other and one.digest == other.digest))


def _identity(ledger: Ledger, artifact: Artifact | None) -> Mapping[str, Json] | None:
    return ledger.identity(artifact.id) if artifact else None


def _environment(kept: Mapping[str, Json]) -> dict[str, Json]:
    environment, git = kept["environment"], kept.get("git") or {}
    commit = f"{git['commit'][:12]}{' with changes' if git['dirty'] else ''}" if git else None
    about = {"python": environment["python"], "platform": environment["platform"], "git commit": commit}
    return {**about, **environment["distributions"]}


def _figures(artifacts: Mapping[str, Artifact]) -> Iterator[tuple[str, Json]]:
    for name, artifact in artifacts.items():
        for key, value in _flat(artifact.figures):
            if isinstance(value, int | float | bool):
                yield f"{name}.{key}", value


def _flat(value: Any, where: str = "") -> Iterator[tuple[str, Json]]:
    """Nested mappings as dotted keys."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _flat(each, f"{where}.{key}" if where else str(key))
    else:
        yield where, value


def _changes(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[Change]:
    names = dict.fromkeys([*before, *after])
    return [Change(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]
