"""The tables of a DuckLake 1.0 catalog, and those that raypipe keeps beside them.

Names and types are those of https://ducklake.select/docs/stable/specification/tables/overview, as DuckDB 1.5 makes them on each database.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Index,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    bindparam,
    select,
    text,
)

from raypipe.core.errors import LedgerError
from raypipe.core.schema import JsonText
from raypipe.core.statement import Statement

VERSION = "1.0"

# SQLite has no booleans, times and UUIDs: DuckDB keeps them there as integers and text.
_TYPES = {
    "": BigInteger(),
    "text": String(),
    "flag": Boolean(create_constraint=False).with_variant(BigInteger(), "sqlite"),
    "time": DateTime(timezone=True).with_variant(String(), "sqlite"),
    "uuid": Uuid(as_uuid=False).with_variant(String(), "sqlite"),
}

# `name:type`, an integer where no type is given; `*` marks the primary key.
_COLUMNS = {
    "metadata": "key:text value:text scope:text scope_id",
    "snapshot": "*snapshot_id snapshot_time:time schema_version next_catalog_id next_file_id",
    "snapshot_changes": "*snapshot_id changes_made:text author:text commit_message:text commit_extra_info:text",
    "schema": "*schema_id schema_uuid:uuid begin_snapshot end_snapshot schema_name:text path:text path_is_relative:flag",
    "table": "table_id table_uuid:uuid begin_snapshot end_snapshot schema_id table_name:text path:text path_is_relative:flag",
    "view": "view_id view_uuid:uuid begin_snapshot end_snapshot schema_id view_name:text dialect:text sql:text column_aliases:text",
    "tag": "object_id begin_snapshot end_snapshot key:text value:text",
    "column_tag": "table_id column_id begin_snapshot end_snapshot key:text value:text",
    "data_file": "*data_file_id table_id begin_snapshot end_snapshot file_order path:text path_is_relative:flag file_format:text "
    "record_count file_size_bytes footer_size row_id_start partition_id encryption_key:text mapping_id partial_max",
    "file_column_stats": "data_file_id table_id column_id column_size_bytes value_count null_count min_value:text max_value:text "
    "contains_nan:flag extra_stats:text",
    "file_variant_stats": "data_file_id table_id column_id variant_path:text shredded_type:text column_size_bytes value_count null_count "
    "min_value:text max_value:text contains_nan:flag extra_stats:text",
    "delete_file": "*delete_file_id table_id begin_snapshot end_snapshot data_file_id path:text path_is_relative:flag format:text "
    "delete_count file_size_bytes footer_size encryption_key:text partial_max",
    "column": "column_id begin_snapshot end_snapshot table_id column_order column_name:text column_type:text initial_default:text "
    "default_value:text nulls_allowed:flag parent_column default_value_type:text default_value_dialect:text",
    "table_stats": "table_id record_count next_row_id file_size_bytes",
    "table_column_stats": "table_id column_id contains_null:flag contains_nan:flag min_value:text max_value:text extra_stats:text",
    "partition_info": "partition_id table_id begin_snapshot end_snapshot",
    "partition_column": "partition_id table_id partition_key_index column_id transform:text",
    "file_partition_value": "data_file_id table_id partition_key_index partition_value:text",
    "files_scheduled_for_deletion": "data_file_id path:text path_is_relative:flag schedule_start:time",
    "inlined_data_tables": "table_id table_name:text schema_version",
    "column_mapping": "mapping_id table_id type:text",
    "name_mapping": "mapping_id column_id source_name:text target_field_id parent_column is_partition:flag",
    "schema_versions": "begin_snapshot schema_version table_id",
    "macro": "schema_id macro_id macro_name:text begin_snapshot end_snapshot",
    "macro_impl": "macro_id impl_id dialect:text sql:text type:text",
    "macro_parameters": "macro_id impl_id column_id parameter_name:text parameter_type:text default_value:text default_value_type:text",
    "sort_info": "sort_id table_id begin_snapshot end_snapshot",
    "sort_expression": "sort_id table_id sort_key_index expression:text dialect:text sort_direction:text null_order:text",
}

tables = MetaData()


def _table(name: str, columns: str) -> Table:
    return Table(f"ducklake_{name}", tables, *map(_column, columns.split()))


def _column(spec: str) -> Column:
    name, _, type_ = spec.lstrip("*").partition(":")
    key = spec.startswith("*")
    return Column(name, _TYPES[type_], primary_key=key, autoincrement=False, nullable=name not in ("key", "value") and not key)


lake = {name: _table(name, columns) for name, columns in _COLUMNS.items()}
"""DuckLake's tables by their names without the prefix."""

snapshots = Table(
    "raypipe_snapshots",
    tables,
    Column("snapshot_id", BigInteger, primary_key=True, autoincrement=False),
    Column("project", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("table_id", BigInteger, nullable=False),
    Column("artifact", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("columns_digest", Text, nullable=False),
    Column("chain", Text, nullable=False),
    Column("num_rows", BigInteger, nullable=False),
    Column("num_deleted", BigInteger, nullable=False),
    Column("num_files", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("stats", JsonText, nullable=False),
    Column("created_at", Text, nullable=False),
)
"""The snapshots that raypipe wrote: what another program commits is not among them."""

fragments = Table(
    "raypipe_fragments",
    tables,
    Column("data_file_id", BigInteger, primary_key=True, autoincrement=False),
    Column("sha256", Text, nullable=False),
    Column("footer_sha256", Text, nullable=False),
    Column("columns_digest", Text, nullable=False),
    Column("stats", JsonText, nullable=False),
)
"""What DuckLake has no column for: digests, the columns that a file was written with, and its statistics by field id."""

schemas = Table(
    "raypipe_schemas",
    tables,
    Column("table_id", BigInteger, primary_key=True, autoincrement=False),
    Column("begin_snapshot", BigInteger, primary_key=True, autoincrement=False),
    Column("arrow", Text, nullable=False),
)
"""The exact columns of a table from a snapshot on: Arrow's own bytes as base64, with field ids and defaults in the fields' metadata."""

deletes = Table(
    "raypipe_deletes",
    tables,
    Column("delete_file_id", BigInteger, primary_key=True, autoincrement=False),
    Column("sha256", Text, nullable=False),
)
"""The delete files that raypipe wrote: another program's are not among them."""

tags = Table(
    "raypipe_tags",
    tables,
    Column("project", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("snapshot_id", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("at", Text, nullable=False),
)
"""Names of snapshots. What a tag names neither expires nor is collected."""

garbage = Table(
    "raypipe_garbage",
    tables,
    Column("path", Text, primary_key=True),
    Column("listed_at", Text, nullable=False),
)
"""Files of the store that nothing named when they were listed; those that were a table's stand in DuckLake's own list."""

Index("raypipe_snapshots_name", snapshots.c.project, snapshots.c.name, snapshots.c.snapshot_id)
Index("raypipe_lake_files", lake["data_file"].c.table_id, lake["data_file"].c.end_snapshot)
Index("raypipe_lake_deletes", lake["delete_file"].c.table_id)
Index("raypipe_lake_columns", lake["column"].c.table_id)
Index("raypipe_lake_partitions", lake["file_partition_value"].c.table_id)

_FOUND = Statement(select(lake["metadata"].c.value).where(lake["metadata"].c.key == bindparam("of_key")))
# Asked anew in each transaction: one that began before another made the tables does not have them.
_MADE = {
    "sqlite": Statement(text(f"select 1 from sqlite_master where type = 'table' and name = '{snapshots.name}'").columns(Column("there"))),
    "postgresql": Statement(
        text(f"select 1 from pg_catalog.pg_class where relname = '{snapshots.name}' and pg_catalog.pg_table_is_visible(oid)")
    ),
}


def exists(connection: Connection) -> bool:
    """Whether there is a catalog. LedgerError where a newer DuckLake has migrated it."""
    if _MADE[connection.dialect.name].on(connection).first() is None:
        return False
    found = _FOUND.on(connection, {"of_key": "version"}).scalar_one_or_none()
    if found != VERSION:
        raise LedgerError(
            f"the catalog of tables is DuckLake {found}, and this raypipe writes {VERSION}: another program has migrated it. "
            "Restore the ledger from a copy, and attach it read-only."
        )
    return True


def lock(connection: Connection) -> None:
    """One writer at a time numbers snapshots. SQLite's transaction is that lock already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(7277391)"))
