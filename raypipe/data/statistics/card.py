"""The card of one column on a profile's page: its picture, its figures, and the bounds of those that are not exact."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from raypipe.core.artifact import Json

NUM_TOPS = 6
WIDTH, HEIGHT = 300.0, 84.0
"""Of the pictures, in their own units."""
GRAVE = ("all null", "constant", "infinite")


@dataclass(frozen=True)
class Drawn:
    """A card, and what the page says of it elsewhere."""

    place: int
    name: str
    kind: str
    missing: float
    """Share of the rows that are null or NaN."""
    warnings: list[Json]
    html: str
    of_items: bool = False
    """Whether it is of what lists hold."""

    def grave(self, warning: Json) -> str:
        return " bad" if warning["what"] in GRAVE else ""


def card(column: Json, place: int) -> Drawn:
    missing = (column["nulls"] + column.get("nans", 0)) / column["rows"] if column["rows"] else 0.0
    kind = column["kind"] if column["kind"] != "struct" else "other"
    drawn = Drawn(place, column["name"], kind, missing, column["warnings"], "")
    data = {
        "place": place,
        "name": column["name"],
        "kind": kind,
        "missing": f"{missing:.6f}",
        "distinct": column.get("distinct", {}).get("value", -1),
        "skewness": abs(column.get("skewness") or 0.0),
        "warnings": len(column["warnings"]),
    }
    attributes = " ".join(f'data-{key}="{escape(value)}"' for key, value in data.items())
    chips = "".join(f'<li class="chip{drawn.grave(w)}" title="{escape(w["told"])}">{escape(w["what"])}</li>' for w in column["warnings"])
    parts = [
        f'<li class="card" id="c{place}" {attributes}>',
        f'<div class="head"><h2>{escape(column["name"])}</h2><span class="type">{escape(column["type"])}</span></div>',
        f'<ul class="chips">{chips}</ul>' if chips else "",
        _missing(missing),
        _picture(column),
        _facts(column),
        _more(column),
        "</li>",
    ]
    return replace(drawn, html="\n".join(filter(None, parts)), of_items=column.get("of_items", False))


# --- words


def escape(value: Any) -> str:
    """Text, whatever it is: what would be markup, or end an attribute, and characters that steer rather than show."""
    text = "".join(c if c.isprintable() else " " if c in "\t\n" else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return html.escape(text, quote=True)


def count_text(value: int) -> str:
    return f"{value:,}"


def share_text(share: float) -> str:
    if not share or share == 1:
        return f"{share:.0%}".replace("%", " %")
    text = "< 0.1" if share < 0.001 else "> 99.9" if share > 0.999 else f"{share * 100:.1f}"
    return f"{text} %"


def value_text(value: Json) -> str:
    """A figure for a person, five digits of it; `None` is a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**15 else f"{float(value):.5g}"
    if isinstance(value, float):
        is_long = 1e4 <= abs(value) < 1e12 or (value == round(value) and abs(value) < 1e12)
        return f"{value:,.0f}" if is_long else f"{value:,.5g}"
    return escape(value)


def seconds_text(seconds: float) -> str:
    for size, unit in ((86_400 * 365.25, "years"), (86_400, "days"), (3_600, "h"), (60, "min")):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.3g} s"


# --- pictures


def _missing(share: float) -> str:
    if not share:
        return ""
    return f'<div class="missing"><span class="track"><i style="width:{share * 100:.2f}%"></i></span>{share_text(share)} missing</div>'


def _picture(column: Json) -> str:
    if len(column.get("histogram", {}).get("counts", [])) > 1:
        return _histogram(column, column["histogram"])
    if column.get("top", {}).get("values"):
        return _tops(column)
    if column["rows"] == column["nulls"] + column.get("nans", 0):
        return '<p class="quiet">no values</p>'
    told = [] if "top" not in column else [f"no value comes more than {column['top']['rest']:,} times"]
    lengths = column.get("lengths", {}).get("histogram", {"counts": []})
    if len(lengths["counts"]) < 2:
        return f'<p class="quiet">{"".join(told)}</p>'
    return f'<p class="quiet">{"; ".join([*told, "lengths:"])}</p>' + _histogram(column, lengths, " of lengths")


def _histogram(column: Json, shape: Json, of: str = "") -> str:
    edges = [_axis_text(column, edge) for edge in shape["edges"]]
    if shape["whole"]:
        edges = shape["edges"]
        edges = [*(value_text(math.ceil(edge)) for edge in edges[:-1]), value_text(math.floor(edges[-1]))]
    spans = zip(shape["counts"], pairwise(edges), strict=True)
    bars = [(n, a if shape["whole"] else f"{a} to {b}") for n, (a, b) in spans]
    below, above = shape["below"], shape["above"]
    tails = [(below, f"below {edges[0]}")] * bool(below), [(above, f"above {edges[-1]}")] * bool(above)
    all_bars = [*((*bar, "tail") for bar in tails[0]), *((*bar, "") for bar in bars), *((*bar, "tail") for bar in tails[1])]
    most, width = max(n for n, _, _ in all_bars) or 1, WIDTH / len(all_bars)
    drawn = "".join(_svg_bar(place, width, n / most, f"{told}: {n:,} rows", style) for place, (n, told, style) in enumerate(all_bars))
    label = f"histogram{of} of {escape(column['name'])} from {edges[0]} to {edges[-1]}"
    left, right = (f"{share_text(n / column['rows'])} {word}" if n else "" for n, word in ((below, "below"), (above, "above")))
    axis = [*([left] if left else []), edges[0], edges[-1], *([right] if right else [])]
    strip = "" if of else _strip(column, len(tails[0]) * width, WIDTH - len(tails[1]) * width)
    box = f'viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none"'
    words = "".join(f"<span>{text}</span>" for text in axis)
    return f'<div class="picture"><svg {box} role="img" aria-label="{label}">{drawn}</svg>{strip}<div class="axis">{words}</div></div>'


def _svg_bar(place: int, width: float, share: float, told: str, style: str) -> str:
    height = max(1.2, share * HEIGHT) if share else 0.0
    x, gap = place * width, min(1.0, width * 0.12)
    bar = f'<rect class="{style}" x="{x + gap / 2:.2f}" y="{HEIGHT - height:.2f}" width="{width - gap:.2f}" height="{height:.2f}" rx="1"/>'
    return f'<g><title>{told}</title><rect class="hit" x="{x:.2f}" y="0" width="{width:.2f}" height="{HEIGHT:g}"/>{bar}</g>'


def _strip(column: Json, left: float, right: float) -> str:
    """The quantiles under the histogram's own axis: 1 to 99 % a line, the middle half a box, the median a mark."""
    low, high = (_number(edge) for edge in (column["histogram"]["edges"][0], column["histogram"]["edges"][-1]))
    found = {one["share"]: _number(one["value"]) for one in column["quantiles"]["values"]}
    if low is None or high is None or high <= low or any(x is None for x in found.values()):
        return ""
    at = {share: left + (right - left) * min(1.0, max(0.0, (x - low) / (high - low))) for share, x in found.items() if x is not None}
    told = ", ".join(f"{one['share']:.0%} {value_text(one['value'])}" for one in column["quantiles"]["values"])
    return (
        f'<svg class="strip" viewBox="0 0 {WIDTH:g} 16" preserveAspectRatio="none" role="img" aria-label="quantiles: {told}">'
        f'<title>{told}</title><line class="whisker" x1="{at[0.01]:.2f}" x2="{at[0.99]:.2f}" y1="8" y2="8"/>'
        f'<rect class="box" x="{at[0.25]:.2f}" y="3" width="{max(0.5, at[0.75] - at[0.25]):.2f}" height="10" rx="2"/>'
        f'<line class="middle" x1="{at[0.5]:.2f}" x2="{at[0.5]:.2f}" y1="2" y2="14"/></svg>'
    )


def _number(value: Json) -> float | None:
    """Of a figure: decimals and times are text."""
    if not isinstance(value, str):
        return None if value is None else float(value)
    from datetime import datetime, time

    try:
        return float(value)
    except ValueError:
        pass
    try:
        text = value.replace("Z", "+00:00")
        return datetime.fromisoformat(text).timestamp() if "-" in text[:11] else _time_seconds(time.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def _time_seconds(value: Any) -> float:
    return value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6


def _tops(column: Json) -> str:
    top, rows = column["top"], column["rows"]
    values = top["values"][:NUM_TOPS]
    most = max(one["count"] for one in values) or 1
    lines = [
        f'<li><span class="value">{_shown(one["value"], column["kind"])}</span>'
        f'<span class="count">{_count(one)} · {share_text(one["count"] / rows)}</span>'
        f'<span class="track"><i style="width:{one["count"] / most * 100:.2f}%"></i></span></li>'
        for one in values
    ]
    return f'<ul class="tops">{"".join(lines)}</ul>'


def _shown(value: Json, kind: str) -> str:
    if value == "":
        return f'<span class="none">{"no bytes" if kind == "binary" else "empty text"}</span>'
    return escape(value) if isinstance(value, str) else value_text(value)


def _count(one: Json) -> str:
    if one["count"] == one["at_most"]:
        return count_text(one["count"])
    return f'<abbr title="{one["count"]:,} to {one["at_most"]:,}">≈ {one["count"]:,}</abbr>'


# --- figures


def _facts(column: Json) -> str:
    made = [("different", _distinct(column))] if "distinct" in column else []
    middle = next((one for one in column.get("quantiles", {}).get("values", []) if one["share"] == 0.5), None)
    if middle is not None:
        made += [
            ("least", _brief(column, column["min"])),
            ("greatest", _brief(column, column["max"])),
            ("median", _bounded(column, middle)),
        ]
        spread = (
            seconds_text(column["stddev"]) if column["kind"] == "time" and column["stddev"] is not None else value_text(column["stddev"])
        )
        made += [("mean", _brief(column, column["mean"])), ("deviation", spread)]
    if column["kind"] in ("text", "binary", "list") and column.get("lengths", {}).get("min") is not None:
        lengths, unit = column["lengths"], {"text": "characters", "binary": "bytes", "list": "items"}[column["kind"]]
        span = value_text(lengths["min"]) + (f" to {value_text(lengths['max'])}" if lengths["max"] > lengths["min"] else "")
        made += [(unit, span), ("on average", value_text(lengths["mean"]))]
    if column["kind"] == "bool":
        made += [("true", count_text(column["true"])), ("false", count_text(column["false"]))]
    shown = "".join(f'<div><dt>{name}</dt><dd title="{_bare(value)}">{value}</dd></div>' for name, value in made)
    return f'<dl class="facts">{shown}</dl>' if shown else ""


def _bare(value: str) -> str:
    return "" if "<" in value else value


def _distinct(column: Json) -> str:
    found = column["distinct"]
    if found["exact"]:
        return count_text(found["value"])
    told = f"{found['low']:,} to {found['high']:,} with a confidence of {found['confidence']:.0%}"
    return f'<abbr title="{told}">≈ {found["value"]:,}</abbr>'


def _bounded(column: Json, one: Json) -> str:
    if one["exact"]:
        return _brief(column, one["value"])
    told = f"{value_text(one['value'])}, certainly from {value_text(one['low'])} to {value_text(one['high'])}"
    return f'<abbr title="{told}">≈ {_brief(column, one["value"])}</abbr>'


def _brief(column: Json, value: Json) -> str:
    """Times have no room for all their digits; they are told when the pointer is held over them."""
    brief, whole = _axis_text(column, value), value_text(value)
    return brief if brief == whole else f'<span title="{whole}">{brief}</span>'


def _axis_text(column: Json, value: Json) -> str:
    """Days where the column covers many, else seconds."""
    text = value_text(value)
    if column["kind"] != "time" or not isinstance(value, str) or "-" not in text[1:11]:
        return text
    low, high = _number(column["min"]), _number(column["max"])
    spans_days = low is not None and high is not None and high - low > 30 * 86_400
    return text[:10] if spans_days else text.partition(".")[0].removesuffix("Z")


def _more(column: Json) -> str:
    rows = [("items" if column.get("of_items") else "rows", count_text(column["rows"])), ("null", count_text(column["nulls"]))]
    counts = (("nans", "NaN"), ("infinite", "infinite"), ("zeros", "zero"), ("negative", "negative"))
    rows += [(word, count_text(column[key])) for key, word in counts if key in column]
    rows += [(key, value_text(column[key])) for key in ("skewness", "kurtosis") if column.get(key) is not None]
    if column["kind"] == "text" and column.get("min") is not None:
        rows += [
            ("first by code point", _shown(column["min"], column["kind"])),
            ("last by code point", _shown(column["max"], column["kind"])),
        ]
    quantiles = column.get("quantiles")
    notes = ""
    if quantiles:
        rows += [(f"{one['share']:.0%} are at most", _within(one)) for one in quantiles["values"]]
        if quantiles["rank_error"]:
            error = quantiles["rank_error"] * 100
            off = f"; a bar by at most {column['histogram']['error']:,} rows" if "histogram" in column else ""
            notes = f"<p>Quantiles are off by at most {error:.2g} % of the values in rank{off}.</p>"
    body = "".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in rows)
    return f'<details class="more"><summary>every figure</summary><table>{body}</table>{notes}</details>'


def _within(one: Json) -> str:
    return (
        value_text(one["value"])
        if one["exact"]
        else f"≈ {value_text(one['value'])} ({value_text(one['low'])} to {value_text(one['high'])})"
    )
