"""show: one run; or the composed config, each value with where it came from, and the graph."""

from __future__ import annotations

import argparse
import json

from raypipe.cli.pipeline import open_pipeline
from raypipe.cli.terminal import console


def show(options: argparse.Namespace) -> int:
    """Of a config, values as written, references unresolved; declared defaults only with --all."""
    from rich.table import Table

    if len(options.overrides) == 1 and "=" not in (name := options.overrides[0]) and not name.startswith("~"):
        from raypipe.cli.one_run import show_run

        return show_run(name, options)

    from raypipe.config.compose import rows

    opened = open_pipeline(options)
    found = [(key, value, origin) for key, value, origin in rows(opened.composed) if options.all or not origin.startswith("default")]
    if options.json:
        nodes = opened.pipeline.nodes.items()
        graph = {name: {"target": n.target, "reads": {edge: ref for edge, ref in n.refs.items() if ref}} for name, n in nodes}
        print(json.dumps({"values": [{"key": k, "value": v, "origin": o} for k, v, o in found], "graph": graph}, indent=2))
        return 0
    out = console()
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("key", "value", "from"):
        table.add_column(column, overflow="fold")
    for key, value, origin in found:
        table.add_row(key, "null" if value is None else str(value), f"[dim]{origin}[/dim]")
    out.print(table)
    out.print("\nsteps", style="bold")
    width = max(len(name) for name in opened.pipeline.nodes)
    for name, node in opened.pipeline.nodes.items():
        reads = ", ".join(dict.fromkeys(r for r in node.refs.values() if r))
        out.print(f"  {name:{width}}  {node.target.rpartition('.')[2]:16}{' reads ' + reads if reads else ''}")
    return 0
