"""Why a step is not a HIT, down to the override on the command line and the line of the user's code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from raypipe.code.changed import changed_line
from raypipe.code.module import load
from raypipe.code.settled import once
from raypipe.core.artifact import Artifact, Json
from raypipe.core.ledger import Ledger
from raypipe.pipeline.node import Node
from raypipe.pipeline.why import difference


def cause(
    nearest: tuple[Artifact, Json] | None,
    before: Mapping[str, Json] | None,
    now: Mapping[str, Json],
    node: Node,
    overrides: Sequence[str],
    ledger: Ledger,
    search: Sequence[Path],
) -> str:
    """`difference` with the places; `before` is the identity of the nearest artifact as far as it counts."""

    def override(setting: str) -> str:
        found = nearest and overriding(overrides, nearest[0].step, setting)
        return f" (override {found})" if found else ""

    def line(name: str) -> str:
        number = nearest and _line(ledger, nearest[0].run, name, search)
        return f" (line {number})" if number else ""

    return difference(before, now, node.refs, override, line)


def overriding(overrides: Sequence[str], step: str, setting: str) -> str:
    """The last override that speaks of this setting of the step, or of something above or below it; empty where none does."""
    keys = (setting, f"{step}.{setting}", f"steps.{step}.{setting}", f"ingest.{setting}")
    for override in reversed(overrides):
        said = override.lstrip("+~").partition("=")[0].partition("@")[0]
        if said and any(key == said or key.startswith(f"{said}.") or said.startswith(f"{key}.") for key in keys):
            return override
        if _is_inside(said, step, setting):
            return override
    return ""


def _is_inside(said: str, step: str, setting: str) -> bool:
    """Whether it speaks of a step of a sub-pipeline: `steps.eu.pipeline.steps.sorted.by` of the setting `by` of `eu.sorted`."""
    outer, inner = step.partition(".")[0], step.rpartition(".")[2]
    return said.startswith(f"steps.{outer}.pipeline.") and f".{inner}.{setting}." in f"{said}."


def _line(ledger: Ledger, run: str, name: str, search: Sequence[Path]) -> int | None:
    """Where `module:name` differs from the code that the run kept."""
    module, _, inner = name.partition(":")
    kept = _code_of(ledger, run).get(module)
    now = load(module, search) if kept and inner else None
    return changed_line(kept["source"], now.source, inner) if kept and now else None


@once
def _code_of(ledger: Ledger, run_id: str) -> Mapping[str, Json]:
    run = ledger.run(run_id)
    return ledger.kept(run).get("code", {}) if run else {}
