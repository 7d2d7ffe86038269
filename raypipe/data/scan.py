"""A scan of fragments as DuckDB asks for it: row group by row group, each with as many rows as it was written with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raypipe.core.store import Store
from raypipe.data.fragment.fragment import Fragment, opened, read_groups


def scanned(store: Store, fragments: Sequence[Fragment], schema: pa.Schema) -> Any:
    """Files of a table as a dataset of Arrow's, of which DuckDB knows how to ask for columns and rows."""
    import pyarrow.dataset as ds

    asked = _Fragments(store, fragments, schema)

    class Scanned(ds.InMemoryDataset):
        """Arrow's own scan leaves out pages whose header is damaged to one of another kind, and gives fewer rows without a word."""

        def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **how: Any) -> Any:
            return asked.scan(columns, filter)

    return Scanned(schema.empty_table())


@dataclass(frozen=True)
class _Fragments:
    store: Store
    fragments: Sequence[Fragment]
    columns: pa.Schema

    def scan(self, columns: Sequence[str] | None, filter: Any) -> _Scan:
        names = list(self.columns.names if columns is None else columns)
        tested = [] if filter is None else [name for name in self.columns.names if name not in names and self._needs(filter, name)]
        return _Scan(self, names, tested, filter)

    def _needs(self, filter: Any, name: str) -> bool:
        try:
            self.columns.empty_table().drop_columns([name]).filter(filter)
        except pa.ArrowInvalid:
            return True
        return False


@dataclass(frozen=True)
class _Scan:
    of: _Fragments
    names: Sequence[str]
    tested: Sequence[str]
    """Columns that the filter alone looks at."""
    filter: Any

    def to_reader(self) -> pa.RecordBatchReader:
        schema = pa.schema([self.of.columns.field(name) for name in self.names])
        return pa.RecordBatchReader.from_batches(schema, (batch for rows in self._rows() for batch in rows.to_batches()))

    def _rows(self) -> Iterator[pa.Table]:
        read = [*self.names, *self.tested]
        schema = pa.schema([self.of.columns.field(name) for name in read])
        for fragment in self.of.fragments:
            with opened(self.of.store, fragment, read) as (file, wanted):
                for number in self._groups(fragment, file.num_row_groups):
                    rows = read_groups(file, wanted, [number]).cast(schema)
                    yield rows.select(self.names) if self.filter is None else rows.filter(self.filter).select(self.names)

    def _groups(self, fragment: Fragment, num_groups: int) -> list[int]:
        """Those in which, by their statistics, a row can be that the filter keeps."""
        if self.filter is None:
            return list(range(num_groups))
        import pyarrow.dataset as ds

        filesystem, path = self.of.store.filesystem(fragment.path)
        some: Any = ds.ParquetFileFormat().make_fragment(path, filesystem).subset(self.filter, schema=self.of.columns)
        return [group.id for group in some.row_groups]
