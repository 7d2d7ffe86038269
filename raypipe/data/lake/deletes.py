"""Delete where: the rows of a table that meet conditions are deleted, by delete files beside its data."""

from __future__ import annotations

from raypipe.core.artifact import Table
from raypipe.core.errors import DataError
from raypipe.core.step import Made, Work
from raypipe.data.lake.current import change_made, operation, require
from raypipe.data.lake.strike import strike
from raypipe.data.where.where import Conditions, predicate


def delete_where(work: Work, name: str, where: Conditions) -> Made[Table]:
    """`where` is `"region = 'eu' and at < '2026-01-01T00:00:00Z'"` or a list of (column, operator, value); null meets no condition.

    Files that the statistics rule out are not opened, of the others the columns of the conditions are read. A file that loses all rows
    ends. Figures: `rows_deleted`. DataError where a column is not there or a value does not fit it.
    """
    now = require(work.ledger, name)
    chosen = predicate(where, now.schema.arrow)
    if not chosen.tests:
        raise DataError(f"table {name}: delete where: without a condition it would delete every row; say one, such as `id is not null`")
    struck = strike(work, now.fragments, chosen)
    work.report(f"{struck.num_rows:,} of {now.snapshot.num_rows:,} rows are deleted")
    said = operation("delete where", [[test.column, test.op, *map(str, test.values)] for test in chosen.tests])
    what = {"ended": struck.ended, "deletes": struck.deletes, "digests": [said] if struck.num_rows else [], "reaches": chosen.may_match}
    return change_made(work, name, "delete", now, now.schema, {"rows_deleted": struck.num_rows}, **what)
