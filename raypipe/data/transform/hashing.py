"""Transforms that hash categories and texts into a fixed number of columns: nothing is learnt, nothing is unseen."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.data.names import column_problems
from raypipe.data.transform import categories
from raypipe.data.transform.entry import Frame, Row, in_place, replace_columns, replace_types, require_type
from raypipe.data.transform.hashes import hash_text
from raypipe.data.transform.numbers import float32
from raypipe.data.types import is_text, value_type

MAX_COLUMNS = 4096


@dataclass(frozen=True)
class HashEncode:
    """Each category hashed: into `carrier#0`, `carrier#1`, ... in the place of `carrier`, or into the number of a bucket in place.

    With `gives: columns` one int8 column is 1 or, by another bit of the hash, -1 (so that collisions cancel in the mean), the others 0;
    a missing value is 0 in all. With `gives: bucket` the value is 0 to num_columns - 1 as int32, and -1 where it is missing. A category
    that was not seen in training is hashed like any other; two may share a column. The hash is 8 bytes of BLAKE2b of salt, 0x1F and the
    value as text (integers in decimal, true and false).
    """

    revision: ClassVar[int] = 1

    columns: list[str]
    """Columns of strings, integers or bool."""
    num_columns: int = 16
    """Columns made of each, or how many buckets there are."""
    gives: Literal["columns", "bucket"] = "columns"
    """A column for each bucket, or the bucket's number."""
    signed: bool = True
    """With `columns`: 1 and -1, not only 1."""
    salt: str = ""
    """Another salt, other collisions."""

    def problems(self) -> list[str]:
        found = column_problems(self.columns) + _number_problems(self.num_columns, MAX_COLUMNS if self.gives == "columns" else 2**31 - 1)
        return found + ([] if self.gives in ("columns", "bucket") else [f"gives is {self.gives!r}, expected columns or bucket"])

    def learns(self) -> bool:
        return False

    def reads(self) -> Sequence[str]:
        return self.columns

    def made(self) -> Mapping[str, Sequence[str]]:
        return {} if self.gives == "bucket" else {name: _names(name, self.num_columns) for name in self.columns}

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, categories.is_category, "string, integer or bool")
        if self.gives == "bucket":
            return replace_types(schema, dict.fromkeys(self.columns, pa.int32()))
        return replace_columns(schema, self.made(), pa.int8())

    def _bucket(self, value: Any) -> tuple[int, int]:
        """Its number, and 1 or -1."""
        hashed = hash_text(categories.text(value), self.salt)
        return (hashed >> 1) % self.num_columns, -1 if self.signed and hashed & 1 else 1

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        if self.gives == "bucket":
            return frame | {name: pa.array(self._buckets(frame[name])[0]) for name in self.columns}
        return in_place(frame, {name: self._columns(name, frame[name]) for name in self.columns})

    def _buckets(self, array: pa.Array) -> tuple[Any, Any]:
        """int32 and int8 [rows]; -1 and 0 where there is no value. Each distinct value is hashed once."""
        import numpy as np
        import pyarrow.compute as pc

        if not pa.types.is_dictionary(array.type):
            array = array.dictionary_encode()
        found = [(-1, 0) if v is None else self._bucket(v) for v in array.dictionary.to_pylist()]
        places = pc.fill_null(array.indices.cast(pa.int64()), len(found)).to_numpy(zero_copy_only=False)
        numbers, signs = zip(*found, (-1, 0), strict=True)
        return np.array(numbers, np.int32)[places], np.array(signs, np.int8)[places]

    def _columns(self, name: str, array: pa.Array) -> Frame:
        import numpy as np

        buckets, signs = self._buckets(array)
        return {made: pa.array(np.where(buckets == i, signs, np.int8(0))) for i, made in enumerate(_names(name, self.num_columns))}

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row]:
        if self.gives == "bucket":
            return lambda row: {name: -1 if row[name] is None else self._bucket(row[name])[0] for name in self.columns}
        made = self.made()
        zeros = {name: 0 for names in made.values() for name in names}

        def hot(row: Row) -> Row:
            values: Row = zeros.copy()
            for name, names in made.items():
                if row[name] is not None:
                    bucket, sign = self._bucket(row[name])
                    values[names[bucket]] = sign
            return values

        return hot


@dataclass(frozen=True)
class TextHash:
    """The words of a text counted in float32 columns `review#0`, `review#1`, ... in the place of `review`, each word in that of its hash.

    Words are runs of letters, digits and underscore (Unicode's), in lower case. With `weight: share` the counts are divided by how many
    words the text has. A missing text, or one without a word, is 0 in all columns. A word that was not seen in training is hashed like
    any other; two may share a column. The hash is that of HashEncode.
    """

    revision: ClassVar[int] = 1

    columns: list[str]
    """Columns of strings."""
    num_columns: int = 64
    """Columns made of each."""
    weight: Literal["count", "share"] = "count"
    """How often a word is there, or which share of the words it is."""
    signed: bool = True
    """Each word adds 1 or, by another bit of its hash, -1: collisions cancel in the mean."""
    salt: str = ""
    """Another salt, other collisions."""

    def problems(self) -> list[str]:
        found = column_problems(self.columns) + _number_problems(self.num_columns, MAX_COLUMNS)
        return found + ([] if self.weight in ("count", "share") else [f"weight is {self.weight!r}, expected count or share"])

    def learns(self) -> bool:
        return False

    def reads(self) -> Sequence[str]:
        return self.columns

    def made(self) -> Mapping[str, Sequence[str]]:
        return {name: _names(name, self.num_columns) for name in self.columns}

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, lambda type: is_text(value_type(type)), "string")
        return replace_columns(schema, self.made(), pa.float32())

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        return in_place(frame, {name: self._columns(name, frame[name]) for name in self.columns})

    def _columns(self, name: str, array: pa.Array) -> Frame:
        import numpy as np

        # One text at a time, for a batch as for one row; a word's place is found once a batch.
        known: dict[str, tuple[int, int]] = {}
        values_FB = np.zeros((self.num_columns, len(array)), np.float32)
        weights = [self._weights(text, known) for text in array.to_pylist()]
        rows = np.repeat(np.arange(len(weights)), [len(found) for found in weights])
        places = np.array([place for found in weights for place in found], np.int64)
        values_FB[places, rows] = [value for found in weights for value in found.values()]
        return {made: pa.array(values_B) for made, values_B in zip(_names(name, self.num_columns), values_FB, strict=True)}

    def _weights(self, text: str | None, known: dict[str, tuple[int, int]]) -> dict[int, float]:
        """Column -> value of one text, as float32; those that are not there are 0."""
        words = [] if text is None else re.findall(r"\w+", text.lower())
        counts: dict[int, int] = {}
        for word in words:
            if (found := known.get(word)) is None:
                hashed = hash_text(word, self.salt)
                found = known[word] = (hashed >> 1) % self.num_columns, -1 if self.signed and hashed & 1 else 1
            place, sign = found
            counts[place] = counts.get(place, 0) + sign
        return {place: float32(n if self.weight == "count" else n / len(words)) for place, n in counts.items()}

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row]:
        made = self.made()
        zeros = {name: 0.0 for names in made.values() for name in names}

        def counted(row: Row) -> Row:
            values: Row = zeros.copy()
            for name, names in made.items():
                values.update((names[place], value) for place, value in self._weights(row[name], {}).items())
            return values

        return counted


def _names(name: str, num_columns: int) -> list[str]:
    return [f"{name}#{i}" for i in range(num_columns)]


def _number_problems(num_columns: Any, most: int) -> list[str]:
    good = isinstance(num_columns, int) and not isinstance(num_columns, bool) and 1 <= num_columns <= most
    return [] if good else [f"num_columns is {num_columns!r}, expected 1 to {most:,}"]
