"""Bad requests: what clients send by mistake or by malice, each to be answered with a status from 400 to 499 and one clear message."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from raypipe.serve.column import Column
from raypipe.serve.desired import Limits
from raypipe.serve.records import Form

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class BadRequest:
    """A POST to the model, and what is wrong with it in a few words."""

    name: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)


def bad_requests(form: Form, record: Mapping[str, Any], limits: Limits) -> list[BadRequest]:
    """Requests to a model whose records look like `record`, which is a good one: bodies that are no records, then records with one
    bad field each."""
    good = json.dumps([record]).encode()
    bodies = [*_not_json(good), *_not_records(record), *_bad_fields(form, record)]
    too_many = b"[" + b",".join([b"{}"] * (limits.num_rows + 1)) + b"]"
    others = [
        BadRequest("another content type", good, {"content-type": "text/plain"}),
        BadRequest("no content type", good, {}),
        BadRequest("a compressed body", good, {**JSON, "content-encoding": "gzip"}),
        BadRequest("too many bytes", good + b" " * limits.body_bytes),
        BadRequest("too many records", too_many),
    ]
    return [BadRequest(name, body) for name, body in bodies] + others


def _not_json(good: bytes) -> Iterator[tuple[str, bytes]]:
    yield from {
        "an empty body": b"",
        "only spaces": b"   ",
        "a cut body": good[:-2],
        "a body and more": good + b"]",
        "text": b"flights please",
        "a form": b"distance=1&hour=2",
        "other bytes": bytes(range(256)),
        "bytes that are no UTF-8": good.replace(b":", b': "\xff\xfe",', 1),
        "UTF-16": good.decode().encode("utf-16"),
        "deep lists": b"[" * 20_000,
        "deep objects": b'[{"a":' * 5_000 + b"1" + b"}]" * 5_000,
        "a long number": b"[" + b"9" * 6_000 + b"]",
    }.items()


def _not_records(record: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    values: dict[str, Any] = {
        "null": None,
        "a number": 1,
        "a string": "x",
        "true": True,
        "an empty list": [],
        "a single record": record,
        "a list of lists": [list(record.values())],
        "a list of nulls": [None],
        "an empty record": [{}],
        "an object of columns": {name: [value] for name, value in record.items()},
        "empty instances": {"instances": []},
        "instances that are an object": {"instances": record},
        "something beside instances": {"instances": [record], "parameters": {}},
        "records and a null": [record, None],
    }
    yield from ((name, json.dumps(value).encode()) for name, value in values.items())


def _bad_fields(form: Form, record: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    def changed(**fields: Any) -> bytes:
        return json.dumps([{**record, **fields}]).encode()

    yield "an unknown field", changed(no_such_field=1)
    yield "a field with an empty name", changed(**{"": 1})
    yield "a field with a long name", changed(**{"x" * 5_000: 1})
    for column in form.columns:
        name = column.name
        key = json.dumps(name).encode()
        yield f"'{name}' twice", changed().replace(key, key + b": null, " + key, 1)
        yield f"'{name}' half a surrogate pair", _raw(record, name, b'"\\ud800"')
        yield f"'{name}' NaN", _raw(record, name, b"NaN")
        yield f"'{name}' -Infinity", _raw(record, name, b"-Infinity")
        for value in _wrong_values(column):
            yield f"'{name}' {json.dumps(value)[:20]}", changed(**{name: value})
        if not column.field.nullable:
            yield f"'{name}' left out", json.dumps([{k: v for k, v in record.items() if k != name}]).encode()
            yield f"'{name}' null", changed(**{name: None})
        if str not in column.kind.takes:
            yield f"'{name}' 1e999", _raw(record, name, b"1e999")
            yield f"'{name}' a huge integer", _raw(record, name, b"9" * 400)


def _wrong_values(column: Column) -> list[Any]:
    values: list[Any] = [[], {}, [1], {"a": 1}, True, "x", 1.5, "12", 10**30, -1.5e300]
    return [value for value in values if column.wrong(value)]


def _raw(record: Mapping[str, Any], name: str, literal: bytes) -> bytes:
    marked = json.dumps([{**record, name: "<here>"}]).encode()
    return marked.replace(b'"<here>"', literal)
