"""tables profile: what the values of each column are like, with a small picture of each."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from raypipe.cli.terminal import console
from raypipe.core.errors import DataError
from raypipe.core.wording import counted, size_text
from raypipe.data.statistics.describe import flat
from raypipe.pipeline.plan import open_scene
from raypipe.pipeline.reach import reached

if TYPE_CHECKING:
    from raypipe.core.artifact import Json

BLOCKS = " ▁▂▃▄▅▆▇█"
WIDTH = 18
"""Of a small histogram, in characters."""
LONGEST = 22


def profile(options: argparse.Namespace) -> int:
    """In the terminal, as JSON, or as a page."""
    found = reached(open_scene(), options.table).profile(options.columns, lambda text: print(text, file=sys.stderr))
    if options.html:
        _write(Path(options.html), found.to_html())
    said = found.to_json()
    if options.json:
        print(json.dumps(said, indent=2))
    elif options.html:
        console().print(f"{len(said['columns'])} columns of {said['rows']:,} rows written to {options.html}")
    else:
        _show(said)
    return 0


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


def _show(said: Json) -> None:
    out = console()
    made = f"{said['rows']:,} rows in {counted(said['files'], 'file')} of {size_text(said['bytes'])}, {said['made_at']}"
    out.print(Text(f"{said['table']} snapshot {said['snapshot']}: {made}"))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in ("column", "type", "missing", "distinct", "values", "least", "middle", "greatest", ""):
        is_number = head in ("missing", "distinct", "least", "middle", "greatest")
        table.add_column(head, justify="right" if is_number else "left", overflow="fold")
    columns = flat(said["columns"])
    for column in columns:
        table.add_row(*_row(column))
    out.print(table)
    if any(not column.get("distinct", {"exact": True})["exact"] for column in columns):
        out.print("~ an estimate: within 2.1 % with a confidence of 99 %; --json has the bounds of every figure", style="dim")


def _row(column: Json) -> list[Text]:
    least, middle, most = _three(column)
    told = ", ".join(warning["what"] for warning in column["warnings"])
    cells = [column["name"], column["type"], _missing(column), _distinct(column), _picture(column), least, middle, most]
    return [*(Text(_plain(cell)) for cell in cells), Text(told, style="yellow")]


def _plain(text: str) -> str:
    """Without what would steer the terminal: the text may come out of the data."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _missing(column: Json) -> str:
    missing = column["nulls"] + column.get("nans", 0)
    return f"{missing / column['rows']:.1%}" if missing else ""


def _distinct(column: Json) -> str:
    found = column.get("distinct")
    return "" if found is None else f"{'' if found['exact'] else '~'}{found['value']:,}"


def _three(column: Json) -> tuple[str, str, str]:
    """Least, middle and greatest: of texts' and lists' lengths."""
    if "lengths" in column and column["lengths"]["min"] is not None:
        lengths, unit = column["lengths"], {"list": "items", "binary": "bytes"}.get(column["kind"], "chars")
        return f"{lengths['min']:,} {unit}", f"{lengths['median']:,}", f"{lengths['max']:,}"
    quantiles = column.get("quantiles")
    middle = next((one["value"] for one in quantiles["values"] if one["share"] == 0.5), None) if quantiles else None
    return _short(column.get("min")), _short(middle), _short(column.get("max"))


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "" if value is None else f"{value:,}" if type(value) is int else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _picture(column: Json) -> str:
    """A histogram, or the most frequent values with their shares."""
    counts = column.get("histogram", {}).get("counts", [])
    if len(counts) > 1:
        return _sparkline(counts)
    rows = column["rows"]
    top = column.get("top", {"values": []})["values"][:3]
    return ", ".join(f"{_short(one['value'])} {one['count'] / rows:.0%}" for one in top)


def _sparkline(counts: list[int]) -> str:
    """What is there at all is seen."""
    if len(counts) > WIDTH:
        step = len(counts) / WIDTH
        counts = [max(counts[int(i * step) : max(int(i * step) + 1, int((i + 1) * step))]) for i in range(WIDTH)]
    most = max(counts) or 1
    return "".join(BLOCKS[0 if not n else max(1, round(n / most * 8))] for n in counts)
