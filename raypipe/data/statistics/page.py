"""A profile as one page to look at: no network, no other file; what comes out of the data is text and nothing else.

Every picture is drawn here, as SVG; the script only filters and sorts, and the page's policy lets no other one run, whatever the data says.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from importlib.resources import files
from typing import TYPE_CHECKING

from raypipe.core.artifact import Json
from raypipe.core.wording import counted, size_text
from raypipe.data.statistics.card import Drawn, card, count_text, escape, share_text
from raypipe.data.statistics.describe import flat

if TYPE_CHECKING:
    from raypipe.data.statistics.profile import Profile

KINDS = {"number": "numbers", "time": "times", "text": "texts", "bool": "bools", "binary": "binary", "list": "lists", "other": "other"}
ORDERS = {
    "place": "as in the table",
    "name": "name",
    "missing": "most missing",
    "distinct": "most different values",
    "skewness": "most skewed",
    "warnings": "most to look at",
}


def page(profile: Profile) -> str:
    """HTML, from 60 kB; 300 columns make about 2 MB."""
    said = profile.to_json()
    drawn = [card(column, place) for place, column in enumerate(flat(said["columns"]))]
    style, script = (files("raypipe.data.statistics").joinpath(f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = escape(said.get("table", "profile"))
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>",
            _header(said, drawn),
            "<main>",
            _bar(drawn),
            '<ul class="cards">',
            *(one.html for one in drawn),
            "</ul>\n</main>",
            _footer(),
            f"<script>{script}</script>\n</body>\n</html>\n",
        ]
    )


def _header(said: Json, drawn: list[Drawn]) -> str:
    of_rows = [one for one in drawn if not one.of_items]
    cells, missing = said["rows"] * len(of_rows), sum(one.missing * said["rows"] for one in of_rows)
    kinds = Counter(one.kind for one in of_rows)
    tiles = [
        ("rows", count_text(said["rows"]), ""),
        (
            "columns",
            count_text(len(of_rows)),
            ", ".join(f"{n} {kind if n == 1 else KINDS.get(kind, kind)}" for kind, n in kinds.most_common()),
        ),
        ("missing", share_text(missing / cells if cells else 0.0), "of all values are null or NaN"),
        ("to look at", count_text(sum(bool(one.warnings) for one in drawn)), "with a warning"),
    ]
    if "bytes" in said:
        tiles.insert(2, ("size", size_text(said["bytes"]), f"in {counted(said['files'], 'file')}"))
    shown = "".join(f'<div class="tile"><dt>{name}</dt><dd>{value}<small>{more}</small></dd></div>' for name, value, more in tiles)
    about = f"snapshot {said['snapshot']}, made {escape(said['made_at'].replace('T', ' '))} UTC" if "snapshot" in said else ""
    title = f'<h1>{escape(said.get("table", "Profile"))}</h1>\n<p class="from">{about}</p>'
    return f'<header>\n{title}\n<dl class="tiles">{shown}</dl>\n{_notes(drawn)}</header>'


def _notes(drawn: list[Drawn]) -> str:
    lines = [
        f'<li><span class="chip{one.grave(warning)}">{escape(warning["what"])}</span>'
        f'<span><a href="#c{one.place}">{escape(one.name)}</a> {escape(warning["told"])}</span></li>'
        for one in drawn
        for warning in one.warnings
    ]
    if not lines:
        return ""
    is_open = " open" if len(lines) <= 12 else ""
    return f'<details class="notes"{is_open}><summary>To look at: {len(lines)}</summary><ul>{"".join(lines)}</ul></details>\n'


def _bar(drawn: list[Drawn]) -> str:
    kinds = Counter(one.kind for one in drawn)
    buttons = [f'<button type="button" data-kind="" aria-pressed="true">all {len(drawn)}</button>']
    buttons += [
        f'<button type="button" data-kind="{kind}" aria-pressed="false">{word} {kinds[kind]}</button>'
        for kind, word in KINDS.items()
        if kinds[kind]
    ]
    options = "".join(f'<option value="{key}">{text}</option>' for key, text in ORDERS.items())
    return (
        '<div class="bar" role="search"><input type="search" id="find" placeholder="Find a column" aria-label="Find a column">'
        f'<span class="kinds" role="group" aria-label="Kind of column">{"".join(buttons)}</span>'
        '<label><input type="checkbox" id="only"> with a warning</label>'
        f'<label>sorted by <select id="order">{options}</select></label><output id="said" aria-live="polite"></output></div>'
    )


def _footer() -> str:
    return (
        "<footer><p>Rows, nulls, NaN, zeros, negatives, least and greatest values are exact; means and deviations but for rounding, of "
        "finite values. A figure with ≈ is an estimate: hold the pointer over it, or open “every figure”, to see within which bounds it "
        "lies. Times are in UTC. Bars hold the values above their left edge up to their right one.</p><p>Made by raypipe.</p></footer>"
    )
