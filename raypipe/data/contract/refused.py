"""The rows for which a contract refused a batch, kept for a person to look at: the table itself never sees them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from raypipe.core.step import Work
from raypipe.core.wording import counted
from raypipe.data.fragment.fragment import Fragment, read_fragment

NUM_ROWS = 1_000


def kept_to_look_at(work: Work, table: str, refused: Sequence[Fragment]) -> list[str]:
    """Writes the first NUM_ROWS of them to `refused/TABLE.jsonl` in the store, in the place of those of an earlier refusal, each with its
    file, row and reasons; a line that says where, or none where no single row is to blame."""
    lines = list(_lines(work, refused))
    if not lines:
        return []
    path = f"refused/{re.sub(r'[^A-Za-z0-9._~-]', '-', table)}.jsonl"
    work.store.write(path, "".join(lines).encode())
    more = " first" if sum(f.num_rows for f in refused) > len(lines) else ""
    rows = f"{counted(len(lines), 'row')} that {'breaks' if len(lines) == 1 else 'break'} it"
    return [f"The{more} {rows}, with file, row and reasons: {_told(work, path)}"]


def _told(work: Work, path: str) -> str:
    """Where it is, as a person in the project's folder would name it."""
    whole = work.store.locate(path)
    return str(PurePath(whole).relative_to(work.project_path)) if PurePath(whole).is_relative_to(work.project_path) else whole


def _lines(work: Work, refused: Sequence[Fragment]) -> Iterator[str]:
    missing = NUM_ROWS
    for fragment in refused:
        rows = read_fragment(work.store, fragment).slice(0, missing)
        missing -= rows.num_rows
        yield from (json.dumps(row, default=str, ensure_ascii=False) + "\n" for row in rows.to_pylist())
        if missing <= 0:
            return
