"""What a person sees of the passes of a step: a line a part, with what runs it."""

from __future__ import annotations

from rich.text import Text

from raypipe.cli.terminal import console
from raypipe.core.explain import Explained, Part

STYLES = {"Arrow": "green", "Polars": "cyan", "NumPy": "blue", "Python": "yellow"}


def pass_lines(step: str, explained: Explained) -> None:
    """The step, and each of its passes as one kernel from reading to writing."""
    out, passes = console(), explained.passes
    width = max(len(part.what) for one in passes for part in one.parts)
    count = f"{len(passes)} passes" if len(passes) > 1 else "one pass"
    out.print(Text.assemble("\n", (step, "bold"), (f"  {count}, a task a file", "dim")))
    if explained.apart:
        told = (
            f"  not fused with {', '.join(explained.apart)}: what a step makes is a table of its own, which later runs and other steps find"
        )
        out.print(Text(told, style="dim"), soft_wrap=True)
    for number, one in enumerate(passes, 1):
        out.print(Text.assemble("  ", (f"{number}. over {one.over}", "bold" if len(passes) > 1 else "")))
        for part in one.parts:
            out.print(_line(part, width), soft_wrap=True)
        if one.around:
            out.print(Text(f"     {'':{width}}  {'':6}  {one.around} go round it", style="dim"), soft_wrap=True)


def _line(part: Part, width: int) -> Text:
    barrier = ("  barrier: a Python function", "yellow") if part.cuts else ""
    return Text.assemble(f"     {part.what:{width}}  ", (f"{part.engine:6}", STYLES.get(part.engine, "dim")), f"  {part.detail}", barrier)
