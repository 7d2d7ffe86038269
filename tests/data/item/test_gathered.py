"""The rows of all items as one table, in fragments of a bounded size that depend on the rows alone."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from raypipe.core.ledger import Ledger
from raypipe.core.step import Work
from raypipe.core.store import Store
from raypipe.data.fragment.together import read_fragments
from raypipe.data.item import gathered as gathering
from raypipe.data.item.gathered import gathered
from raypipe.data.item.item import Items
from raypipe.data.item.result import Sheet


def test_large_items_are_parted_and_the_fragments_are_the_same_however_they_were_cached(
    ledger: Ledger, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gathering, "FRAGMENT_ROWS", 5)
    items = Items.of_list([7, 0, 3, 7], "n")
    keyed = items.keyed(None)
    tables = {item.key: pa.table({"i": range(item.arguments["n"])}) if item.arguments["n"] else None for item in keyed}
    work = Work("p", tmp_path, "p", "s", ledger, store, path="p/s/1", inline=True)
    together = {one.key: one for one in Sheet(list(tables.items())).write(store, "p/s/1")}
    apart = {one.key: one for key, table in reversed(tables.items()) for one in Sheet([(key, table)]).write(store, "p/s/0")}
    written = [gathered(work, "f", keyed, items.table, kept, None) for kept in (together, apart)]
    assert [f.num_rows for f in written[0].fragments] == [5, 5, 5, 2]
    assert [f.sha256 for f in written[0].fragments] == [f.sha256 for f in written[1].fragments]
    rows = read_fragments(store, written[0].fragments, written[0].schema).to_pydict()
    assert rows == {"n": [7] * 7 + [3] * 3 + [7] * 7, "i": [*range(7), *range(3), *range(7)]}
