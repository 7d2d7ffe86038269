"""The ledger's tables, and the one form in which JSON is kept."""

from __future__ import annotations

import hashlib

import pytest
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from raypipe.core import schema
from raypipe.core.canonical import canonical
from raypipe.core.schema import JsonText


def test_every_table_but_the_version_stands_under_a_project_and_the_prefix():
    for table in schema.metadata.sorted_tables:
        assert table.name.startswith("raypipe_")
        assert table is schema.meta or "project" in table.c


def statements() -> str:
    """All that makes the tables, on both databases, as one text."""
    dialects = (sqlite.dialect(), postgresql.dialect())
    tables = [str(CreateTable(table).compile(dialect=dialect)) for dialect in dialects for table in schema.metadata.sorted_tables]
    indexes = sorted(str(CreateIndex(index)) for table in schema.metadata.sorted_tables for index in table.indexes)
    return "\n".join([*tables, *indexes, schema.LIVE])


def test_a_change_of_the_tables_raises_the_version():
    digest = hashlib.sha256(" ".join(statements().split()).encode()).hexdigest()[:16]
    assert (schema.VERSION, digest) == (3, "5d817a00e8bd8268"), (
        "the tables changed: raise VERSION, say in migrate.py what leads there, then note the new digest here"
    )


def test_json_has_one_form():
    assert canonical({"b": [1, 2.5, None], "a": "ß\ud800"}) == '{"a":"\\u00df\\ud800","b":[1,2.5,null]}'
    for value in (float("nan"), float("inf"), {"x": [float("-inf")]}):
        with pytest.raises(ValueError, match="JSON compliant"):
            canonical(value)


def test_json_goes_in_and_out_unchanged():
    dialect = create_engine("sqlite://").dialect
    value = {"z": [1, {"y": None}], "a": "text"}
    kept = JsonText().process_bind_param(value, dialect)
    assert JsonText().process_result_value(kept, dialect) == value
    assert JsonText().process_bind_param(None, dialect) is None
