"""A fragment: one immutable Parquet file of a table, with what the catalog must know of it."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from raypipe.core.errors import DataError, RaypipeError, StoreError, nearest
from raypipe.core.wording import first_line
from raypipe.data.fragment.bounds import Seen, Stats, group_statistics
from raypipe.data.fragment.conform import (
    bare_schema,
    children,
    columns_digest,
    conformed,
    field_id,
    is_list,
    numbered,
    stacked,
    with_ids_alone,
)
from raypipe.data.fragment.leaves import refuse_lost
from raypipe.data.fragment.positions import Deletes, read_positions, without
from raypipe.data.fragment.sieve import kept
from raypipe.data.fragment.sink import TAIL_BYTES, Sink

if TYPE_CHECKING:
    from raypipe.core.store import Store
    from raypipe.data.where.where import Predicate

ROW_GROUP_ROWS = 131_072
ROW_GROUP_BYTES = 64 << 20
PAGE_ROWS = 32_768
BATCH_ROWS = 4_096
"""What the writer takes at once. By 20,000 and 1,024 rows, Arrow's defaults, a file took 5 % more CPU time, by whole row groups too."""
CODED_BYTES = 2
"""Of a column of text, a value: with less it is codes."""


@dataclass(frozen=True)
class Fragment:
    """One file of a table's snapshot. It is small and picklable: what travels to a task instead of rows."""

    path: str
    """Relative to the store's root."""
    num_rows: int
    """What the file holds, deleted rows included."""
    size: int
    """Bytes."""
    sha256: str
    first_row: int = 0
    """The number of its first row in the order of the table, among the rows that are not deleted."""
    footer_bytes: int = 0
    """Parquet's own footer, for readers that fetch it in one go."""
    stats: Stats = field(default_factory=dict)
    """Of all rows of the file, by the names of the snapshot: with deletes, nulls and bounds that hold, though not the narrowest."""
    deletes: Deletes | None = None
    """Which of its rows are deleted."""
    id: int | None = None
    """Its number in the catalog, once it is committed."""
    place: int | None = None
    """What a snapshot's files are ordered by: its number, or that of the file that it took the place of."""
    columns: str = ""
    """The digest of the columns that it was written with, field ids and all."""
    partition: tuple[tuple[str, str | None], ...] = ()
    """What all its rows have in common where the table is partitioned: each key (`year(at)`) with its value as text."""
    as_now: pa.Schema | None = None
    """The columns of the snapshot, with field ids, where the table had others when it was written: what its readers hand out."""
    footer_sha256: str = ""
    """Of the footer, which no page's checksum covers: names, types, statistics, and where the pages lie."""

    @property
    def num_live(self) -> int:
        """Rows that a reader gets."""
        return self.num_rows - self.num_deleted

    @property
    def num_deleted(self) -> int:
        return self.deletes.num_rows if self.deletes else 0


def write_fragment(store: Store, path: str, table: pa.Table, schema: pa.Schema | None = None) -> Fragment:
    """Writes `table` durably to `path` and digests the bytes as they pass; `schema` has its columns with the field ids of the table that
    it is for, which are 1, 2, ... in a new one. A column of text may come as a dictionary: it is written as text.

    Compressed by lz4: 8 to 14 % more CPU than none when writing, 10 % less when reading, and a third of the space on real data (zstd: 35 to
    50 % more, and half of that space). Dictionaries are for text alone: on floats they doubled the time.
    Raises DataError for a column that Parquet cannot hold.
    """
    return _written(store, path, Seen.of_whole(table), iter([table]), schema)


def write_pieces(store: Store, path: str, pieces: Iterator[pa.Table], schema: pa.Schema | None = None) -> Fragment:
    """The same of rows that come piece by piece, at least one of them, of which a row group's worth is in memory.

    Row groups have no statistics of floats, since a NaN may still come; the fragment has.
    """
    first = next(pieces)
    return _written(store, path, Seen(first.schema), _regrouped(itertools.chain([first], pieces)), schema)


def _written(store: Store, path: str, seen: Seen, pieces: Iterator[pa.Table], schema: pa.Schema | None) -> Fragment:
    _check_names(path, seen.schema)
    schema = numbered(seen.schema) if schema is None else schema
    logical = with_ids_alone(schema)
    codes = {name for name, type_ in zip(seen.schema.names, seen.schema.types, strict=True) if pa.types.is_dictionary(type_)}
    physical = with_codes(logical, codes)
    footers: list[pq.FileMetaData] = []
    with store.create(path) as writer:
        sink = Sink(writer)
        try:
            as_it_is = physical.types == logical.types
            with pq.ParquetWriter(cast(Any, sink), physical, store_schema=as_it_is, **_how(seen), metadata_collector=footers) as file:
                for piece in pieces:
                    seen.add(piece)
                    rows = pa.Table.from_arrays(piece.columns, schema=physical)
                    # The writer gives a dictionary up where another one follows.
                    file.write_table(rows if as_it_is else rows.unify_dictionaries(), row_group_size=_row_group_rows(piece))
                if not as_it_is:
                    file.add_key_value_metadata(_stored(logical))
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError, RuntimeError) as raised:
            raise _told(path, seen.schema, raised) from raised
    file = writer.file
    about = (path, seen.num_rows, file.size, file.sha256, 0, sink.footer_bytes(), seen.statistics(footers[0]))
    return Fragment(*about, columns=columns_digest(schema), footer_sha256=sink.footer_sha256())


def _stored(schema: pa.Schema) -> dict[str, str]:
    """What Arrow's writer says of a schema. Columns of text that come as dictionaries are written as what they are: text."""
    own = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    return {**own, "ARROW:schema": base64.b64encode(schema.serialize().to_pybytes()).decode()}


def with_codes(schema: pa.Schema, names: Collection[str]) -> pa.Schema:
    """These columns of text as dictionaries."""
    code = [f.name in names and pa.types.is_string(f.type) for f in schema]
    fields = [f.with_type(pa.dictionary(pa.int32(), f.type)) if is_ else f for f, is_ in zip(schema, code, strict=True)]
    return pa.schema(fields, schema.metadata)


def _how(seen: Seen) -> dict[str, Any]:
    leaves = [leaf for column in seen.schema for leaf in _leaves(column.name, column.type)]
    return {
        "compression": "lz4",
        "use_dictionary": [leaf for leaf, type_ in leaves if _is_text(type_)],
        # Parquet's bounds leave NaN out, and DuckDB, for which NaN is the greatest number, skips rows by them.
        "write_statistics": [leaf for leaf, _ in leaves if leaf not in seen.may_have_nans],
        "write_page_checksum": True,
        "max_rows_per_page": PAGE_ROWS,
        "write_batch_size": BATCH_ROWS,
    }


def _regrouped(pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """As many rows as a row group has: rows that were left out make no small row groups."""
    waiting = next(pieces)
    for piece in pieces:
        if full := waiting.num_rows // ROW_GROUP_ROWS * ROW_GROUP_ROWS:
            yield waiting.slice(0, full)
        waiting = stacked([waiting.slice(full), piece])
    yield waiting


def _told(path: str, schema: pa.Schema, raised: BaseException) -> BaseException:
    """Why it could not be written. Arrow's writer, asked for the footer of what it could not write, hides it behind an error of its own."""
    cause: BaseException | None = raised
    while cause is not None and not isinstance(cause, pa.ArrowException | RaypipeError):
        cause = cause.__context__
    if isinstance(cause, RaypipeError):
        return cause
    return DataError(f"{path}: Parquet cannot hold this table: {cause}. Columns: {_name_types(schema)}") if cause else raised


def read_fragment(store: Store, fragment: Fragment, columns: Sequence[str] | None = None, where: Predicate | None = None) -> pa.Table:
    """Its rows but the deleted ones, columns in the order asked for, with the exact Arrow types of the snapshot.

    `where` takes the rows that meet it. StoreError where the footer, or a page that is read, is not what was written.
    """
    deleted = read_positions(store, fragment.deletes)
    with opened(store, fragment, columns) as (file, wanted):
        if where is not None:
            return stacked([wanted.empty(), *_matching(fragment, file, wanted, deleted, where)])
        return without(read_groups(file, wanted), deleted)


def read_coded(store: Store, fragment: Fragment, columns: Sequence[str] | None = None) -> tuple[pa.Table, pa.Schema]:
    """The same rows, text of few values as dictionaries where the file has it so; and the columns as they are otherwise."""
    deleted = read_positions(store, fragment.deletes)
    with opened(store, fragment, columns, None) as (file, wanted):
        return without(read_groups(file, wanted), deleted), _wanted(fragment, written_schema(file.metadata), columns).schema


def read_row_groups(
    store: Store, fragment: Fragment, columns: Sequence[str] | None = None, where: Predicate | None = None
) -> Iterator[pa.Table]:
    """The same in pieces of at most a row group (131,072 rows, less where rows are wide or deleted)."""
    deleted, first = read_positions(store, fragment.deletes), 0
    with opened(store, fragment, columns) as (file, wanted):
        if where is not None:
            yield from _matching(fragment, file, wanted, deleted, where)
            return
        for number in range(file.num_row_groups):
            group = read_groups(file, wanted, [number])
            yield without(group, deleted, first)
            first += group.num_rows


def read_groups(file: pq.ParquetFile, wanted: Wanted, groups: Sequence[int] | None = None) -> pa.Table:
    """These row groups, or all. A page whose header is damaged may pass for one of a kind that Arrow leaves out, without a word where a
    column is read alone."""
    chosen = range(file.num_row_groups) if groups is None else groups
    expected = sum(file.metadata.row_group(number).num_rows for number in chosen)
    options: Any = {"columns": wanted.found, "use_threads": False}
    rows = file.read(**options) if groups is None else file.read_row_groups(groups, **options)
    if rows.num_rows != expected:
        raise pa.ArrowInvalid(f"{rows.num_rows:,} of {expected:,} rows are left")
    refuse_lost(file, rows, chosen)
    return wanted.of(rows)


def known_columns(fragment: Fragment, file: pq.ParquetFile, columns: Sequence[str] | None) -> dict[str, tuple[int, pa.DataType]]:
    """Of the snapshot's columns the place in the file, and the type there."""
    written = written_schema(file.metadata)
    places = {file.metadata.schema.column(i).path: i for i in range(file.metadata.num_columns)}
    names = _wanted(fragment, written, columns).names
    return {name: (places[found], written.field(found).type) for name, found in names.items() if found in places}


def _matching(fragment: Fragment, file: pq.ParquetFile, wanted: Wanted, deleted: Any, where: Predicate) -> Iterator[pa.Table]:
    """The rows that meet it, of the row groups that can hold one by their statistics; the columns that it looks at are read first."""
    first, chosen = 0, known_columns(fragment, file, where.columns)
    tested = _wanted(fragment, written_schema(file.metadata), where.columns)
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        start, first = first, first + group.num_rows
        if not where.may_match(group_statistics(group, chosen), group.num_rows):
            continue
        mask = where.mask(without(read_groups(file, tested, [number]), deleted, start))
        if mask is None or cast(Any, pyarrow.compute).any(mask).as_py():
            rows = without(read_groups(file, wanted, [number]), deleted, start)
            yield rows if mask is None else kept(rows, mask.to_numpy())


@dataclass(frozen=True)
class Wanted:
    """The columns that a reader is asked for, and which of the file's they are."""

    schema: pa.Schema
    """As the snapshot has them, with ids and defaults."""
    names: dict[str, str]
    """By the snapshot's names, those in the file; what is missing was added since."""
    found: list[str] | None
    """What is to be read of the file; None is everything."""

    def with_codes(self, names: Collection[str]) -> Wanted:
        """These columns of text as dictionaries."""
        fields = [
            f.with_type(pa.dictionary(pa.int32(), f.type)) if f.name in names and pa.types.is_string(f.type) else f for f in self.schema
        ]
        return replace(self, schema=pa.schema(fields)) if names else self

    def empty(self) -> pa.Table:
        return bare_schema(self.schema).empty_table()

    def of(self, rows: pa.Table) -> pa.Table:
        def find(column: pa.Field) -> pa.ChunkedArray | None:
            return rows.column(self.names[column.name]) if column.name in self.names else None

        return conformed(find, self.schema, rows.num_rows)


def _check_names(path: str, schema: pa.Schema) -> None:
    names = schema.names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: the table has two columns named {', '.join(map(repr, twice))}; rename one of them")
    if not names:
        raise DataError(f"{path}: the table has no columns")


def _leaves(path: str, type_: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """The Parquet columns of an Arrow column: their dotted paths and types."""
    inner = children(type_)
    if not inner:
        yield path, type_
    for child in inner:
        middle = "list.element" if is_list(type_) else f"key_value.{child.name}" if pa.types.is_map(type_) else child.name
        yield from _leaves(f"{path}.{middle}", child.type)


def _is_text(type_: pa.DataType) -> bool:
    is_ = pa.types
    tests = (
        is_.is_dictionary,
        is_.is_string,
        is_.is_large_string,
        is_.is_string_view,
        is_.is_binary,
        is_.is_large_binary,
        is_.is_binary_view,
    )
    return any(test(type_) for test in tests)


def _row_group_rows(table: pa.Table) -> int:
    """Small enough that a reader of one row group at a time stays near 64 MiB."""
    row_bytes = max(1, table.nbytes // max(1, table.num_rows))
    return max(1_024, min(ROW_GROUP_ROWS, ROW_GROUP_BYTES // row_bytes))


@contextmanager
def opened(
    store: Store, fragment: Fragment, columns: Sequence[str] | None, coded: Collection[str] | None = ()
) -> Iterator[tuple[pq.ParquetFile, Wanted]]:
    """The file and which of its columns are asked for; what goes wrong while it is open names the file.

    `coded`: columns of text (None: any) that come as dictionaries, where the file has them so.
    """
    try:
        filesystem, path = store.filesystem(fragment.path)
        with filesystem.open_input_file(path) as source:
            footer = _verified_footer(source, fragment)
            wanted = _wanted(fragment, written_schema(footer), columns)
            some = {name: found for name, found in wanted.names.items() if (coded is None or name in coded) and _is_coded(footer, found)}
            with pq.ParquetFile(source, metadata=footer, page_checksum_verification=True, read_dictionary=list(some.values())) as file:
                yield file, wanted.with_codes(some)
    except FileNotFoundError as error:
        raise StoreError(f"{fragment.path}: is not in the store at {store.root}. {_REMEDY}") from error
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{fragment.path}: cannot be read back as it was written: {first_line(error).rstrip('.')}. {_REMEDY}") from error


def verify_footer(store: Store, fragment: Fragment) -> None:
    """StoreError where the file's size or footer is not what was written: for readers that check pages alone."""
    with opened(store, fragment, None):
        pass


def _verified_footer(source: pa.NativeFile, fragment: Fragment) -> pq.FileMetaData:
    """Of 1,000 single flipped bits in a footer 13 gave other values, types or zones, and no error."""
    if source.size() != fragment.size:
        raise StoreError(f"{fragment.path}: {source.size()} bytes, but {fragment.size} were written. {_REMEDY}")
    num_bytes = fragment.footer_bytes + TAIL_BYTES
    end = source.read_at(num_bytes, fragment.size - num_bytes)
    # What version 1 of the ledger recorded has no digest of the footer.
    if fragment.footer_sha256 and hashlib.sha256(end).hexdigest() != fragment.footer_sha256:
        raise StoreError(f"{fragment.path}: the footer's bytes are not those that were written. {_REMEDY}")
    return pq.read_metadata(pa.BufferReader(b"PAR1" + end))


_REMEDY = "Restore the file from a copy, or delete it: the next run makes it again."


def _is_coded(footer: pq.FileMetaData, name: str) -> bool:
    """Whether a column of text is written by codes throughout: text itself takes four bytes and more a value. Where a dictionary was
    given up for too many values, making another one when reading costs more than it saves."""
    (place,) = [i for i in range(footer.num_columns) if footer.schema.column(i).path == name] or [None]
    if place is None or footer.schema.column(place).physical_type != "BYTE_ARRAY":
        return False
    chunks = [footer.row_group(number).column(place) for number in range(footer.num_row_groups)]
    return all(chunk.has_dictionary_page and chunk.total_uncompressed_size <= CODED_BYTES * chunk.num_values for chunk in chunks)


def written_schema(footer: pq.FileMetaData) -> pa.Schema:
    """As it was given to the writer, with field ids: pyarrow's own reader widens seconds, date64 and dictionaries of numbers."""
    stored = (footer.metadata or {}).get(b"ARROW:schema")
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored))) if stored else footer.schema.to_arrow_schema()


def _wanted(fragment: Fragment, written: pa.Schema, columns: Sequence[str] | None) -> Wanted:
    schema = fragment.as_now or written
    if columns is not None:
        if missing := [name for name in columns if name not in schema.names]:
            raise DataError(f"{fragment.path}: has no column {missing[0]!r}.{nearest(missing[0], schema.names)}")
        schema = pa.schema([schema.field(name) for name in columns])
    if fragment.as_now is None:
        return Wanted(schema, {name: name for name in schema.names}, None if columns is None else schema.names)
    in_file = {field_id(column): column.name for column in written}
    names = {column.name: in_file[field_id(column)] for column in schema if field_id(column) in in_file}
    return Wanted(schema, names, list(names.values()))


def _name_types(schema: pa.Schema) -> str:
    return ", ".join(f"{column.name} {column.type}" for column in schema)
