"""Which figures a step's artifact may have, known before anything runs, so that a condition on another one is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from raypipe.code.shape import shape
from raypipe.core.errors import Problem, nearest_and_all
from raypipe.pipeline.condition import Condition
from raypipe.pipeline.edge import output_kind
from raypipe.pipeline.fingerprint import own_class
from raypipe.pipeline.node import Node, Pipeline

OF_A_TABLE = ("num_rows", "num_fragments", "table", "snapshot")
OF_A_FUNCTION = ("rows_in",)


def figures_of(node: Node, search: Sequence[Path]) -> tuple[str, ...] | None:
    """Dotted names, each with whatever lies below it; None where only a run tells: a class of the user's gives its figures itself."""
    found = shape(node.target, search)
    if found.kind == "function":
        return (*OF_A_TABLE, *(f"{name}.{edge}" for name in OF_A_FUNCTION for edge, ref in node.refs.items() if ref))
    if not found.own:
        return None
    return (*(OF_A_TABLE if output_kind(found) == "Table" else ()), *own_class(node.target).figures)


def figure_problems(pipeline: Pipeline, search: Sequence[Path]) -> list[Problem]:
    """Figures that a `when` reads and the step that it names never has."""
    problems = []
    for name, step, figure in _read(pipeline):
        there = figures_of(pipeline.nodes[step], search)
        if there is not None and (what := misnamed(step, figure, there)):
            problems.append(Problem(f"execution.{name}.when", what))
    return problems


def misnamed(step: str, figure: str, there: Sequence[str]) -> str:
    """What is wrong with a figure that is read, of a step that may have those; empty where nothing is."""
    if any(f"{figure}.".startswith(f"{name}.") or name.startswith(f"{figure}.") for name in there):
        return ""
    meant = next((name for name in there if name.endswith(f".{figure}")), figure)
    return f"'{step}' has no figure '{figure}'.{nearest_and_all(meant, there)}"


def not_foreseen(pipeline: Pipeline, search: Sequence[Path], there: Collection[str] = ()) -> list[str]:
    """A line for each condition whose figures only the run can tell to be there; of the steps in `there` they are known."""
    steps: dict[str, list[str]] = {}
    for name, step, figure in _read(pipeline):
        if step not in there and figures_of(pipeline.nodes[step], search) is None:
            steps.setdefault(name, []).append(f"{step}.{figure}")
    return [
        f"execution.{name}.when: whether there is {', '.join(read)} only the run can tell: the step's class gives figures of its own"
        for name, read in steps.items()
    ]


def _read(pipeline: Pipeline) -> Iterator[tuple[str, str, str]]:
    """(the step that has the condition, the step that it reads, the figure) of every figure that a condition reads."""
    for name, execution in pipeline.execution.items():
        for step, *figure in Condition(execution.when).figures if execution.when else ():
            yield name, step, ".".join(figure)
