"""Order and edges: which step reads which, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from raypipe.core.errors import Problem, nearest
from raypipe.pipeline.node import Node


def reads(node: Node) -> list[str]:
    """The names of the steps that a node reads, by its edges and by its condition."""
    return [*(r for r in node.refs.values() if r is not None), *node.after]


def order(nodes: Mapping[str, Node]) -> list[str]:
    """The steps so that each comes after what it reads, otherwise as written. Raises CycleError (see `edge_problems`)."""
    written = {name: i for i, name in enumerate(nodes)}
    sorter = _sorter(nodes)
    sorter.prepare()
    done: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=written.__getitem__)
        done += ready
        sorter.done(*ready)
    return done


def edge_problems(nodes: Mapping[str, Node]) -> list[Problem]:
    """Edges that name a step which is not there, and a cycle, each naming the steps."""
    missing = [
        Problem(f"{name}.{edge}", f"there is no step '{ref}'.{nearest(ref, [n for n in nodes if n != name])}")
        for name, node in nodes.items()
        for edge, ref in node.refs.items()
        if ref is not None and ref not in nodes
    ]
    if missing:
        return missing
    try:
        _sorter(nodes).prepare()
    except CycleError as error:
        return [_cycle(nodes, error.args[1])]
    return []


def downstream(nodes: Mapping[str, Node], name: str) -> set[str]:
    """Every step that reads `name`, directly or through others."""
    found: set[str] = set()
    for other in order(nodes):
        if any(r == name or r in found for r in reads(nodes[other])):
            found.add(other)
    return found


def _sorter(nodes: Mapping[str, Node]) -> TopologicalSorter[str]:
    return TopologicalSorter({name: reads(node) for name, node in nodes.items()})


def _cycle(nodes: Mapping[str, Node], names: list[str]) -> Problem:
    """graphlib lists a cycle from what is read to who reads it, with the first name again at the end."""
    readers = names[::-1]
    if len(readers) == 2:
        edge = _edge(nodes, *readers)
        return Problem(f"{readers[0]}.{edge}" if edge else f"execution.{readers[0]}.when", "the step reads itself.")
    edges = [(a, b, _edge(nodes, a, b)) for a, b in pairwise(readers)]
    steps = ", ".join(f"'{a}' reads '{b}' ({edge or 'its condition `when`'})" for a, b, edge in edges)
    return Problem(readers[0], f"the steps wait for each other: {steps}.")


def _edge(nodes: Mapping[str, Node], reader: str, name: str) -> str:
    """The edge by which a step reads another; empty where it is its condition."""
    return next((edge for edge, ref in nodes[reader].refs.items() if ref == name), "")
