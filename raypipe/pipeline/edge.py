"""The edges that a step's signature declares, and whether what they carry is what it wants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raypipe.code.shape import Parameter, Shape
from raypipe.core.artifact import KINDS
from raypipe.core.errors import Problem, nearest
from raypipe.core.form import form_of
from raypipe.pipeline.node import Node

_REF = re.compile(r"""\bRef\[\s*["']?(?:\w+\.)*(\w+)""")
_MANY = re.compile(r"""^\s*["']?(?:\w+\.)*(?:dict|Dict|Mapping)\[""")
_MADE = re.compile(r"""\bMade\[\s*["']?(?:\w+\.)*(\w+)""")


@dataclass(frozen=True)
class Edge:
    """One input of a step: the kind it wants, the step it reads by default, whether it may be left open."""

    kind: str
    default: str | None
    optional: bool
    many: bool = False
    """A mapping of names to steps (`dict[str, Ref[Table]]`): an edge for each, `FIELD.NAME`."""


def edges_of(found: Shape) -> dict[str, Edge]:
    """Parameter name -> edge, of a step's class (`Ref[...]` fields) or a plain function (its table parameters)."""
    edges = {p.name: _edge(found, p) for p in found.parameters}
    return {name: edge for name, edge in edges.items() if edge is not None}


def edge_of(found: Shape, name: str) -> Edge:
    """The edge of that name, one of a mapping's too."""
    return edges_of(found)[name.partition(".")[0]]


def nested(refs: Mapping[str, str | None]) -> dict[str, Any]:
    """Edges as the step's class takes them: those of a mapping as a mapping."""
    made: dict[str, Any] = {}
    for name, ref in refs.items():
        field, _, key = name.partition(".")
        if key:
            made.setdefault(field, {})[key] = ref
        else:
            made[field] = ref
    return made


def output_kind(found: Shape) -> str | None:
    """The kind that the step makes; None where its `run` does not say."""
    if found.kind == "function":
        return "Table"
    match = _MADE.search(found.returns or "")
    return match[1] if match else None


def kind_problems(nodes: Mapping[str, Node], shapes: Mapping[str, Shape]) -> list[Problem]:
    """Edges that would carry another kind than the step wants, and steps that do not say what they make."""
    problems = [
        Problem(
            name,
            f"{s.canonical} is no step: its `run` must be annotated with what it makes, e.g. `-> Made[Table]`.{nearest(k or '', KINDS)}",
        )
        for name, s in shapes.items()
        if (k := output_kind(s)) not in KINDS
    ]
    for name, node in nodes.items():
        for edge_name, ref in node.refs.items():
            edge = edge_of(shapes[name], edge_name)
            made = output_kind(shapes[ref]) if ref else None
            if ref is None and not edge.optional:
                problems.append(Problem(f"{name}.{edge_name}", f"needs the name of a step that makes a {edge.kind}."))
            elif ref and made in KINDS and made != edge.kind:
                problems.append(Problem(f"{name}.{edge_name}", f"wants a {edge.kind}, but step '{ref}' makes a {made}."))
    return problems


def _edge(found: Shape, parameter: Parameter) -> Edge | None:
    annotation = (parameter.resolved or parameter.annotation).strip("\"' ")
    if found.kind == "function":
        return Edge("Table", None, False) if form_of(annotation) or annotation == "raypipe.core.artifact.Table" else None
    match = _REF.search(annotation)
    if not match:
        return None
    default = str(parameter.default) if parameter.default is not None and not parameter.required else None
    return Edge(match[1], default, "None" in annotation, many=_MANY.match(annotation) is not None)
