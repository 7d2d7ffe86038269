"""Lines of JSON read into the types that are wanted; what cannot be is told by line, field and value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from raypipe.core.errors import DataError, nearest
from raypipe.data.source.location import Location
from raypipe.data.types import type_name

BLOCK_BYTES = 8 << 20
"""Bytes of text that make a piece, about: whole lines."""
MAX_LINE_BYTES = 256 << 20
"""A longer line is refused: a file of one huge array is no JSON lines."""


def read(
    file: Location, types: Mapping[str, pa.DataType], columns: Sequence[str] | None, optional: Sequence[str] = ()
) -> Iterator[pa.Table]:
    """The rows in pieces, the first of which has none. Fields without a type in `types` have the one that the first 8 MB suggest.

    DataError with the line for what is no JSON object, a value that is not of its field's type, a field that comes twice in an object; and
    for a field of `types` that no line has, but for `optional` ones: a file whose writer has renamed it would be one of nulls.
    """
    known = {name: type for name, type in types.items() if columns is None or name in columns}
    first, num_lines, num_rows, absent = True, 0, 0, [name for name in known if name not in optional]
    for block in _blocks(file):
        rows = _parsed(block, known, columns, num_lines)
        absent = [name for name in absent if not _has_field(block, rows, name)]
        if first:
            _require(columns, rows.column_names)
        rows = rows if columns is None else rows.select([name for name in columns if name in rows.column_names])
        if first:
            known |= {f.name: f.type for f in rows.schema if not pa.types.is_null(f.type)}
            yield rows.schema.empty_table()
        first = False
        yield rows
        num_lines += block.count(b"\n")
        num_rows += rows.num_rows
    if first:
        yield pa.table({name: pa.array([], type) for name, type in known.items()})
    if absent and num_rows:
        raise DataError("\n".join(f"column '{name}' is missing: no line has it (setting `optional` lets that be)" for name in absent))


def _has_field(block: bytes, rows: pa.Table, name: str) -> bool:
    """Where all its values are null, by its name among the bytes."""
    if rows.column(name).null_count < rows.num_rows:
        return True
    return any(json.dumps(name, ensure_ascii=ascii).encode() in block for ascii in (False, True))


def _blocks(file: Location) -> Iterator[bytes]:
    """Pieces of whole lines."""
    rest = b""
    for piece in file.pieces(BLOCK_BYTES):
        end = piece.rfind(b"\n") + 1
        if not end:
            rest += piece
            if len(rest) > MAX_LINE_BYTES:
                raise DataError(f"a line of more than {MAX_LINE_BYTES:,} bytes: this is one JSON document, not an object a line")
            continue
        yield rest + piece[:end]
        rest = piece[end:]
    if rest:
        yield rest


def _parsed(block: bytes, types: Mapping[str, pa.DataType], columns: Sequence[str] | None, line: int) -> pa.Table:
    """The rows of a block that begins behind so many lines."""
    if not block.strip():
        return pa.table({name: pa.array([], type) for name, type in types.items()})
    read = _Reader(types, columns)
    try:
        return read(block)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        number, text = _first_bad(block, read)
        raise DataError(f"line {line + number}: {_told(text, types, error)}") from None


class _Reader:
    """Bytes of whole lines -> their rows, by Arrow's JSON reader."""

    def __init__(self, types: Mapping[str, pa.DataType], columns: Sequence[str] | None):
        from pyarrow import json as arrow_json

        self._json, self._types = arrow_json, types
        carriers = pa.schema([(name, carrier(type)) for name, type in types.items()])
        # Only where the columns are named and all have types is a further field passed over; otherwise the contract judges it.
        beyond = "ignore" if columns is not None and not set(columns) - set(types) else "infer"
        self._parse = arrow_json.ParseOptions(explicit_schema=carriers, unexpected_field_behavior=beyond, newlines_in_values=False)

    def __call__(self, block: bytes) -> pa.Table:
        options = self._json.ReadOptions(use_threads=False, block_size=len(block) + 1)
        rows = self._json.read_json(pa.BufferReader(block), options, self._parse)
        made = pa.table({name: _cast(rows.column(name), self._types.get(name)) for name in rows.column_names})
        made.validate(full=True)
        return made


def carrier(type: pa.DataType) -> pa.DataType:
    """What Arrow reads JSON into, where it does not read it into the type itself; it is cast then."""
    is_ = pa.types
    if is_.is_date(type) or is_.is_time(type):
        return pa.string()
    if is_.is_dictionary(type):
        return carrier(type.value_type)
    if is_.is_float16(type):
        return pa.float32()
    if is_.is_list(type) or is_.is_large_list(type) or is_.is_fixed_size_list(type):
        return pa.list_(carrier(type.value_type))
    return type


def _cast(column: pa.ChunkedArray, type: pa.DataType | None) -> pa.ChunkedArray:
    if type is None or column.type == type:
        return column
    if pa.types.is_time(type):  # Arrow casts no text to a time of day
        import pyarrow.compute as pc

        moment: Any = pc.binary_join_element_wise("1970-01-01T", column, "")  # pyright: ignore[reportAttributeAccessIssue]
        return moment.cast(pa.timestamp(type.unit)).cast(type)
    return column.cast(type)


def _first_bad(block: bytes, read: _Reader) -> tuple[int, bytes]:
    """The number of the first line that cannot be read, and the line: a part of the lines fails exactly where one of them is bad."""
    lines = block.split(b"\n")
    good, bad = 0, len(lines)
    while bad - good > 1:
        middle = (good + bad) // 2
        if _fails(b"\n".join(lines[:middle]), read):
            bad = middle
        else:
            good = middle
    return bad, lines[bad - 1]


def _fails(block: bytes, read: _Reader) -> bool:
    try:
        if block.strip():
            read(block)
    except (pa.ArrowException, UnicodeDecodeError):
        return True
    return False


def _told(line: bytes, types: Mapping[str, pa.DataType], error: Exception) -> str:
    try:
        value = json.loads(line, object_pairs_hook=_once)
    except UnicodeDecodeError:
        return "is not UTF-8"
    except json.JSONDecodeError as bad:
        return f"is no JSON: {bad.msg} at character {bad.pos + 1}"
    except ValueError as bad:
        return str(bad)
    if not isinstance(value, dict):
        return f"is {_kind(value)}, expected an object, {{...}}"
    return _of_type(value, types) or str(error).splitlines()[0]


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"field '{twice}' is there twice")
    return dict(pairs)


def _of_type(value: Mapping[str, Any], types: Mapping[str, pa.DataType]) -> str:
    """Which field is not of its type; empty where each one alone is, or where no type was wanted of it."""
    for name, found in value.items():
        wanted = types.get(name)
        if wanted is not None and _fails(json.dumps({name: found}).encode(), _Reader({name: wanted}, [name])):
            return f"field '{name}': {_shown(found)} is no {type_name(wanted)}"
    mixed = [name for name in value if name not in types]
    kinds = ", ".join(f"'{name}' is {_kind(value[name])}" for name in mixed)
    return f"a field is of another kind than on the lines before: {kinds}. State its type in a contract or under types" if mixed else ""


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"'{value}'" if isinstance(value, str) and len(value) <= 60 else text if len(text) <= 60 else f"{text[:60]}..."


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _require(columns: Sequence[str] | None, names: Sequence[str]) -> None:
    missing = [f"no field '{name}' in the first lines.{nearest(name, names)}" for name in columns or () if name not in names]
    if missing:
        raise DataError("\n".join(missing))
