"""The body of a request as rows: JSON records, decoded and checked against the signature, with every wrong field found at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from typing import Any

import msgspec
import pyarrow as pa

from raypipe.bundle.signature import Signature
from raypipe.core.errors import nearest
from raypipe.serve.column import JSON_NAMES, MISSING, Column, column
from raypipe.serve.refusal import NUM_SHOWN, BadField, Refused, excerpt, refused_fields

SHAPE = 'a list of records, or {"instances": [...]}'

Wrong = tuple[int, str, str]
"""Row, field, what was found: kept small, for a body may hold a hundred thousand of them."""


@dataclass(frozen=True)
class Form:
    """What the records of a request must look like."""

    columns: tuple[Column, ...]

    @classmethod
    def of(cls, signature: Signature) -> Form:
        """Raises DataError where an input's type cannot be given as JSON."""
        return cls(tuple(column(field) for field in signature.inputs))

    def read(self, body: bytes, num_rows: int) -> pa.Table:
        """The rows, in the signature's columns and types. Raises Refused for a body that is anything else, or has more than `num_rows`."""
        document = decode(body)
        rows = _records(document, num_rows)
        names = {c.name for c in self.columns}
        if set(map(type, rows)) != {dict} or not all(map(names.issuperset, rows)) or not all(rows):
            raise self._refusal(rows)
        values = [_values(rows, c.name) for c in self.columns]
        arrays = [c.array(v) for c, v in zip(self.columns, values, strict=True)]
        good = [a for a in arrays if a is not None]
        if len(good) < len(arrays):
            raise self._refusal(rows)
        texts = [v for c, v in zip(self.columns, values, strict=True) if str in c.kind.takes]
        if body.count(b":") != _num_colons(document, rows, texts) or b"\\u003" in body or ":" in "".join(names):
            decode_slowly(body)
        return pa.Table.from_arrays(good, schema=pa.schema([(c.name, c.type) for c in self.columns]))

    def _refusal(self, rows: Sequence[Any]) -> Refused:
        found = sorted(self._wrong(rows))
        if not found:  # each value is right alone: a dictionary of int8 has no room for 200 of them
            return Refused(422, "The records have more distinct values in one field than its type can hold: send fewer in a request.")
        return refused_fields([self._bad_field(*wrong) for wrong in islice(found, NUM_SHOWN)], len(found))

    def _wrong(self, rows: Sequence[Any]) -> Iterator[Wrong]:
        names = {c.name for c in self.columns}
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                yield index, "", JSON_NAMES[type(row)]
            elif not row:
                yield index, "", "an empty object"
            else:
                yield from ((index, name, "an unknown field") for name in row.keys() - names)
        records = [(index, row) for index, row in enumerate(rows) if isinstance(row, dict) and row]
        yield from chain.from_iterable(_wrong_values(c, records) for c in self.columns)

    def _bad_field(self, row: int, field: str, found: str) -> BadField:
        by_name = {c.name: c for c in self.columns}
        if field in by_name:
            return BadField(row, field, found, by_name[field].expected)
        expected = f"one of the model's fields.{nearest(field, by_name)}" if field else "an object with the model's fields"
        return BadField(row, excerpt(field), found, expected)


def decode(body: bytes) -> Any:
    """Any JSON value. Raises Refused (400) for what is not JSON in UTF-8, NaN and Infinity included."""
    if not body.strip():
        raise Refused(400, f"The body is empty: send JSON, {SHAPE}.")
    try:
        return msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise Refused(400, "The body is not UTF-8.") from None
    except RecursionError:
        raise Refused(400, f"The body is nested too deeply: send {SHAPE}.") from None
    except msgspec.DecodeError as error:
        if "out of range" in str(error):
            return decode_slowly(body)
        hint = " NaN and Infinity are not JSON: write null." if re.search(rb"\b(NaN|Infinity)\b", body) else ""
        raise Refused(400, f"The body is not valid JSON: {error}.{hint}") from None


def decode_slowly(body: bytes) -> Any:
    """As `decode`, five times slower: numbers out of range become infinite, to be refused by field; a key given twice is refused."""
    try:
        return json.loads(body.decode(), parse_int=_parse_int, parse_constant=_no_constant, object_pairs_hook=_unique)
    except UnicodeDecodeError:
        raise Refused(400, "The body is not UTF-8.") from None
    except RecursionError:
        raise Refused(400, f"The body is nested too deeply: send {SHAPE}.") from None
    except json.JSONDecodeError as error:
        raise Refused(400, f"The body is not valid JSON: {error.msg} (byte {error.pos}).") from None


def _records(document: Any, num_rows: int) -> list[Any]:
    if isinstance(document, dict) and "instances" in document:
        if unknown := sorted(document.keys() - {"instances"}):
            raise Refused(422, f"Beside 'instances' nothing is taken; found '{excerpt(unknown[0])}'.")
        document = document["instances"]
    if not isinstance(document, list):
        raise Refused(422, f"The body is {_a(document)}: send {SHAPE}.")
    if not document:
        raise Refused(422, "There are no records: send at least one.")
    if len(document) > num_rows:
        raise Refused(413, f"{len(document)} records in one request; at most {num_rows} are taken.")
    return document


def _a(value: Any) -> str:
    return {"null": "null", "object": "an object", "array": "an array"}.get(name := JSON_NAMES[type(value)], f"a {name}")


def _values(rows: Sequence[dict[str, Any]], name: str) -> list[Any]:
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:
        return [row.get(name, MISSING) for row in rows]


def _wrong_values(column: Column, records: Sequence[tuple[int, dict[str, Any]]]) -> Iterator[Wrong]:
    if column.array([row.get(column.name, MISSING) for _, row in records]) is None:
        for index, row in records:
            if found := column.wrong(row.get(column.name, MISSING)):
                yield index, column.name, found


def _num_colons(document: Any, rows: Sequence[dict[str, Any]], texts: Sequence[Sequence[Any]]) -> int:
    # As many colons as keys, but for those inside of strings: one more means that a key is there twice, of which msgspec keeps
    # the last without a word. Counting costs a hundredth of parsing again with a hook for pairs.
    inside = sum("".join(v for v in column if type(v) is str).count(":") for column in texts)
    return isinstance(document, dict) + sum(map(len, rows)) + inside


def _parse_int(text: str) -> int | float:
    return int(text) if len(text) < 400 else float("inf")


def _no_constant(name: str) -> Any:
    raise Refused(400, f"The body is not valid JSON: {name} is no JSON number; write null.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        twice = next(name for i, (name, _) in enumerate(pairs) if name in {n for n, _ in pairs[:i]})
        raise Refused(400, f"A record has the field '{excerpt(twice)}' twice.")
    return record
