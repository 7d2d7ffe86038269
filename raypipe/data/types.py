"""Arrow's types by the names that people write: `int64`, `float64`, `string`, `timestamp[us, tz=UTC]`, `list<float32>`."""

from __future__ import annotations

import re

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest

_SHORT = {"double": "float64", "float": "float32", "halffloat": "float16", "date32[day]": "date32", "date64[ms]": "date64"}
# fmt: off
_PLAIN = [
    "null", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
    "string", "large_string", "binary", "large_binary", "date32", "date64", "timestamp[s]", "timestamp[ms]", "timestamp[us]",
    "timestamp[ns]", "duration[s]", "duration[ms]", "duration[us]", "duration[ns]", "time32[s]", "time32[ms]", "time64[us]",
    "time64[ns]",
]
# fmt: on


def type_name(type: pa.DataType) -> str:
    """The name of a type, the one that `parse_type` reads back.

    >>> type_name(pa.float64()), type_name(pa.timestamp("us", "UTC")), type_name(pa.list_(pa.float32()))
    ('float64', 'timestamp[us, tz=UTC]', 'list<float32>')
    """
    if pa.types.is_dictionary(type):
        return f"dictionary<{type_name(type.value_type)}, {type_name(type.index_type)}{', ordered' if type.ordered else ''}>"
    if pa.types.is_fixed_size_list(type):
        return f"list<{type_name(type.value_type)}>[{type.list_size}]"
    if pa.types.is_list(type) or pa.types.is_large_list(type):
        return f"{'large_' if pa.types.is_large_list(type) else ''}list<{type_name(type.value_type)}>"
    if pa.types.is_struct(type):
        return f"struct<{', '.join(f'{field.name}: {type_name(field.type)}' for field in type)}>"
    if pa.types.is_map(type):
        return f"map<{type_name(type.key_type)}, {type_name(type.item_type)}>"
    return _SHORT.get(str(type), str(type))


def parse_type(name: str) -> pa.DataType:
    """The type of that name (Arrow's own `double` and `float` too); DataError with the nearest valid name where there is none."""
    text = name.strip() if isinstance(name, str) else str(name)
    text = _SHORT.get(text, text)
    if text in _PLAIN:
        return pa.type_for_alias(text)
    for pattern, build in _COMPOSED.items():
        if match := re.fullmatch(pattern, text):
            return build(*match.groups())
    raise DataError(f"'{text}' is no type.{nearest(text, _PLAIN)}")


def is_type(name: str) -> bool:
    """Whether `parse_type` knows it."""
    try:
        parse_type(name)
    except DataError:
        return False
    return True


def is_number(type: pa.DataType) -> bool:
    """Integers, floats and bool: what a model takes as it is."""
    return pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_boolean(type)


def is_text(type: pa.DataType) -> bool:
    return pa.types.is_string(type) or pa.types.is_large_string(type)


def value_type(type: pa.DataType) -> pa.DataType:
    """A dictionary's type of values; any other type itself."""
    return type.value_type if pa.types.is_dictionary(type) else type


def plain_type(type: pa.DataType) -> pa.DataType:
    """The type without what an engine chose for itself: large and view kinds of text, bytes and lists as the plain ones, dictionaries by
    int32.

    >>> str(plain_type(pa.large_list(pa.string_view())))
    'list<item: string>'
    """
    if pa.types.is_large_string(type) or pa.types.is_string_view(type):
        return pa.string()
    if pa.types.is_large_binary(type) or pa.types.is_binary_view(type):
        return pa.binary()
    if pa.types.is_dictionary(type):
        return pa.dictionary(pa.int32(), plain_type(type.value_type), type.ordered)
    if pa.types.is_list(type) or pa.types.is_large_list(type):
        return pa.list_(_plain_field(type.value_field))
    if pa.types.is_fixed_size_list(type):
        return pa.list_(_plain_field(type.value_field), type.list_size)
    if pa.types.is_struct(type):
        return pa.struct([_plain_field(type.field(i)) for i in range(type.num_fields)])
    return pa.map_(plain_type(type.key_type), plain_type(type.item_type)) if pa.types.is_map(type) else type


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(plain_type(field.type))


def fields_to_json(schema: pa.Schema) -> Json:
    """A list of `{"name", "type"}`; field metadata is left out."""
    return [{"name": field.name, "type": type_name(field.type)} for field in schema]


def fields_from_json(json: Json) -> pa.Schema:
    return pa.schema([pa.field(field["name"], parse_type(field["type"])) for field in json])


def _dictionary(values: str, indices: str, ordered: str | None) -> pa.DataType:
    return pa.dictionary(parse_type(indices), parse_type(values), ordered=bool(ordered))


def _struct(inside: str) -> pa.DataType:
    return pa.struct([(name.strip(), parse_type(type)) for name, _, type in (part.partition(": ") for part in _parts(inside))])


def _map(inside: str) -> pa.DataType:
    key, *values = _parts(inside)
    return pa.map_(parse_type(key), parse_type(", ".join(values)))


def _parts(inside: str) -> list[str]:
    """What stands between commas that are in no brackets."""
    parts, depth = [""], 0
    for letter in inside:
        depth += (letter in "<[(") - (letter in ">])")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts if inside.strip() else []


_COMPOSED = {
    r"timestamp\[(s|ms|us|ns), ?tz=(.+)\]": pa.timestamp,
    r"list<(.+)>\[(\d+)\]": lambda item, size: pa.list_(parse_type(item), int(size)),
    r"list<(.+)>": lambda item: pa.list_(parse_type(item)),
    r"large_list<(.+)>": lambda item: pa.large_list(parse_type(item)),
    r"fixed_size_binary\[(\d+)\]": lambda size: pa.binary(int(size)),
    r"struct<(.*)>": _struct,
    r"map<(.+)>": _map,
    r"decimal32\((\d+), ?(-?\d+)\)": lambda precision, scale: pa.decimal32(int(precision), int(scale)),
    r"decimal64\((\d+), ?(-?\d+)\)": lambda precision, scale: pa.decimal64(int(precision), int(scale)),
    r"decimal128\((\d+), ?(-?\d+)\)": lambda precision, scale: pa.decimal128(int(precision), int(scale)),
    r"decimal256\((\d+), ?(-?\d+)\)": lambda precision, scale: pa.decimal256(int(precision), int(scale)),
    r"dictionary<(.+), (u?int\d+)(, ordered)?>": _dictionary,
}
