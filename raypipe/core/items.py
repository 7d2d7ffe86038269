"""What became of single items of a mapped step: where the rows that its function gave lie, by what they were computed from."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, func, select, text, update

from raypipe.core.artifact import File
from raypipe.core.item import Item
from raypipe.core.schema import items

MANY = 500
"""As many keys as one statement takes."""


def find(connection: Connection, project: str, keys: Sequence[str], run: str | None = None) -> dict[str, Item]:
    """Those that were run; of that run alone where one is named."""
    found: dict[str, Item] = {}
    for some in _chunks(keys):
        which = [items.c.project == project, items.c.key.in_(some), *([items.c.run == run] if run is not None else [])]
        for row in connection.execute(select(items).where(*which)):
            file = File(row.path, row.size, row.sha256) if row.path else None
            found[row.key] = Item(row.key, file, row.columns, row.first_row, row.num_rows)
    return found


def num_made(connection: Connection, project: str, fingerprint: str) -> int:
    """How many were run for the step of that fingerprint."""
    query = select(func.count()).select_from(items).where(items.c.project == project, items.c.fingerprint == fingerprint)
    return connection.execute(query).scalar_one()


def keep(connection: Connection, project: str, fingerprint: str, run: str, made: Collection[Item]) -> None:
    """Records items as they were run last, in the caller's transaction."""
    rows = [
        {
            "project": project,
            "key": item.key,
            "path": item.file.path if item.file else "",
            "size": item.file.size if item.file else 0,
            "sha256": item.file.sha256 if item.file else "",
            "columns": item.columns,
            "first_row": item.first_row,
            "num_rows": item.num_rows,
            "fingerprint": fingerprint,
            "run": run,
            "used_at": _now(),
        }
        for item in sorted(made, key=lambda item: item.key)  # two runs that keep the same ones lock them in the same order
    ]
    if rows:
        connection.execute(_KEEP, rows)


def use(connection: Connection, project: str, keys: Sequence[str], artifact: str | None = None) -> None:
    """They were asked for now; `artifact`: the table that they are in."""
    values = {"used_at": _now()} | ({"used_by": artifact} if artifact else {})
    for some in _chunks(sorted(keys)):
        connection.execute(update(items).where(items.c.project == project, items.c.key.in_(some)).values(**values))


def paths(connection: Connection, but: Mapping[str, Collection[str]]) -> set[str]:
    """The files that items name, but for those of a project's keys."""
    query = select(items.c.project, items.c.key, items.c.path).where(items.c.path != "")
    return {row.path for row in connection.execute(query) if row.key not in but.get(row.project, ())}


def unused(connection: Connection, project: str, needed: Container[str], before: datetime) -> set[str]:
    """The keys of items that no run has asked for since `before`, and whose last table is none of the artifacts which are `needed`."""
    query = select(items.c.key, items.c.used_by).where(items.c.project == project, items.c.used_at < _said(before))
    return {row.key for row in connection.execute(query) if row.used_by not in needed}


def drop(connection: Connection, project: str, keys: Collection[str], before: datetime) -> None:
    """Forgets those of them that nobody has asked for meanwhile: they would be run again."""
    for some in _chunks(sorted(keys)):
        connection.execute(delete(items).where(items.c.project == project, items.c.key.in_(some), items.c.used_at < _said(before)))


_COLUMNS = [column.name for column in items.c if column.name != "used_by"]
_ANEW = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in ("project", "key"))
# As text, since SQLAlchemy has `on conflict` only in its dialects, and to import PostgreSQL's costs 22 ms.
_KEEP = text(
    f"insert into raypipe_items ({', '.join(_COLUMNS)}) values ({', '.join(f':{name}' for name in _COLUMNS)}) "
    f"on conflict (project, key) do update set {_ANEW}"
)


def _chunks(keys: Iterable[str]) -> Iterator[list[str]]:
    listed = list(keys)
    return (listed[start : start + MANY] for start in range(0, len(listed), MANY))


def _now() -> str:
    return _said(datetime.now(UTC))


def _said(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")
