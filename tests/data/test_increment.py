"""A row-wise step after its input changed: only what is new is computed, and what comes out is what a full computation gives."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pytest

from raypipe.core.artifact import Table
from raypipe.core.errors import Conflict, DataError
from raypipe.core.ledger import Ledger, Record
from raypipe.core.step import Made, Work
from raypipe.core.store import Store
from raypipe.data.became import BECAME
from raypipe.data.fragment.fragment import Fragment, write_fragment
from raypipe.data.increment import Whole, increment
from raypipe.data.lake.compact import compact
from raypipe.data.lake.deletes import delete_where
from raypipe.data.lake.expire import expire
from raypipe.data.lake.gc import gc
from raypipe.data.rows import map_rows
from raypipe.data.table import TableSchema, latest, made, read

SQUARES = "p.squares"


@dataclass
class House:
    """Two steps of a pipeline, without the pipeline: `source`, whose files are given, and `squares`, row-wise."""

    work: Work
    said: list[str] = field(default_factory=list)
    seen: list[list[int]] = field(default_factory=list)
    """What the row function was given, a list a fragment."""

    def source(self, *tables: pa.Table) -> Table:
        work = self._work("source")
        parts = [self._file(table) for table in tables]
        return self._publish(work, made(work, "p.source", TableSchema(tables[0].schema), parts, mode="overwrite"))

    def _file(self, table: pa.Table) -> Fragment:
        """The same rows lie in the same file."""
        path = f"source/{'-'.join(map(str, table.column(0).to_pylist()))}.parquet"
        return write_fragment(self.work.store, path, table)

    def squares(self, table: Table, settings: Any = None, depends: Any = None, function: Callable[..., Any] | None = None) -> Table:
        """Runs the step and publishes what it made."""
        work = self._work("squares", table, settings)
        new = increment(work, table, depends)
        self.said, self.seen = [str(new)], []
        whole = new.whole(lambda parts: map_rows(work, function or self._square, parts))
        return self._publish(work, self._made(work, whole))

    def _made(self, work: Work, whole: Whole) -> Made[Table]:
        figures = {"odd": sum(note["dropped"] for note in whole.notes)}
        return whole.made(work, SQUARES, replace(TableSchema(whole.schema), label="y"), figures)

    def _square(self, rows: pa.Table) -> tuple[pa.Table, Any]:
        x = rows.column("x").to_pylist()
        self.seen.append(x)
        kept = [v for v in x if v % 2 == 0]
        return pa.table({"x": kept, "y": [v * v for v in kept]}, schema=SQUARED), {"dropped": len(x) - len(kept)}

    def _work(self, step: str, table: Table | None = None, settings: Any = None) -> Work:
        identity = {"settings": settings, "inputs": {"table": table.digest} if table else {}}
        path = f"p/{step}/000001-{uuid.uuid4().hex[:12]}"
        return replace(self.work, step=step, path=path, fingerprint=uuid.uuid4().hex, identity=identity)

    def _publish(self, work: Work, made_: Made[Table]) -> Any:
        lease = work.ledger.claim(work.fingerprint, "r")
        record = Record(
            kind="Table", pipeline="p", step=work.step, run="r", fingerprint=work.fingerprint, digest=made_.digest, path=work.path,
            files=made_.files, schema=made_.schema, figures=made_.figures, identity=work.identity,
        )  # fmt: skip
        return work.ledger.publish(lease, record, made_.commits)

    def mode(self) -> str:
        """What the last commit to the step's table was."""
        newest = latest(self.work.ledger, SQUARES)
        assert newest is not None
        return newest.mode

    def rows(self, table: Table) -> list[int]:
        return read(self.work.ledger, self.work.store, table).column("x").to_pylist()


SQUARED = pa.schema([("x", pa.int64()), ("y", pa.int64())])
A, B, C, D = (pa.table({"x": x}) for x in ([1, 2, 4], [5, 6], [8], [10, 11]))


@pytest.fixture
def house(tmp_path, ledger, store) -> House:
    return _house(tmp_path, ledger, store)


@pytest.fixture
def fresh(tmp_path) -> House:
    """Another place, where all is computed for the first time."""
    return _house(tmp_path, Ledger.open(f"sqlite:///{tmp_path}/fresh.db", "test"), Store.open(tmp_path / "fresh"))


def _house(tmp_path: Any, ledger: Ledger, store: Store) -> House:
    return House(Work(project="test", project_path=tmp_path, pipeline="p", step="", ledger=ledger, store=store, run="r", inline=True))


def same(house: House, fresh: House, table: Table, *tables: pa.Table, **more: Any) -> None:
    """What came out is what a full computation over the same fragments gives: digest, rows, figures."""
    full = fresh.squares(fresh.source(*tables), **more)
    assert table.digest == full.digest
    assert read(house.work.ledger, house.work.store, table).equals(read(fresh.work.ledger, fresh.work.store, full))
    counted = ("num_rows", "num_fragments", "odd", "table")
    assert {name: table.figures[name] for name in counted} == {name: full.figures[name] for name in counted}


def test_after_an_append_only_what_is_new_is_computed(house, fresh):
    house.squares(house.source(A, B))
    assert (house.seen, house.said) == ([[1, 2, 4], [5, 6]], [""])
    table = house.squares(house.source(A, B, C, D))
    assert house.seen == [[8], [10, 11]]
    assert house.said == ["2 of 4 fragments are new: 37.5 % of the rows computed, the others carried over"]
    assert (table.figures["fragments_computed"], table.figures["rows_computed"]) == (2, 3)
    assert [file.path.rpartition("/")[2] for file in table.files] == ["part-00000.parquet", "part-00001.parquet", BECAME]
    assert house.mode() == "append"
    same(house, fresh, table, A, B, C, D)


def test_an_append_after_an_append(house, fresh):
    for tables in ((A,), (A, B), (A, B, C)):
        table = house.squares(house.source(*tables))
        assert len(house.seen) == 1
    same(house, fresh, table, A, B, C)


@pytest.mark.parametrize(
    ("before", "now", "computed", "said"),
    [
        ((A, B, C), (A, D, C), [[10, 11]], "1 of 3 fragments are new and 1 gone"),
        ((A, B, C), (C, A), [], "0 of 2 fragments are new and 1 gone: 0.0 % of the rows computed"),
        ((A, B), (D, A, B), [[10, 11]], "1 of 3 fragments are new"),
        ((A, B), (A, B, A), [[1, 2, 4]], "1 of 3 fragments are new"),
        ((A, B, A), (A, A), [], "0 of 2 fragments are new and 1 gone"),
        ((A, B), (C, D), [[8], [10, 11]], "all 2 fragments are computed: none of them is as it was"),
    ],
)
def test_what_is_unchanged_is_carried_over_wherever_it_lies(house, fresh, before, now, computed, said):
    house.squares(house.source(*before))
    table = house.squares(house.source(*now))
    assert house.seen == computed
    assert house.said[0].startswith(said)
    same(house, fresh, table, *now)
    again = house.squares(house.source(*now, D))
    same(house, fresh, again, *now, D)


def test_other_settings_compute_all(house):
    house.squares(house.source(A, B), settings=1)
    house.squares(house.source(A, B, C), settings=2)
    assert (len(house.seen), house.said) == (3, [""])


def test_back_at_earlier_settings_what_was_made_with_them_is_carried_over(house, fresh):
    house.squares(house.source(A, B), settings=1)
    house.squares(house.source(A, D), settings=2)
    table = house.squares(house.source(A, B, C), settings=1)
    assert house.seen == [[8]]
    same(house, fresh, table, A, B, C, settings=1)


def test_what_the_rows_depend_on_besides(house):
    house.squares(house.source(A, B), depends={"fit": 1})
    house.squares(house.source(A, B, C), depends={"fit": 2})
    assert house.seen == [[1, 2, 4], [5, 6], [8]]
    assert house.said == ["all 3 fragments are computed: its columns, or what is computed of them, changed"]


def test_other_columns_of_the_input_compute_all(house):
    house.squares(house.source(A, B))
    wider = [table.append_column("z", table["x"]) for table in (A, B)]
    house.work.store.remove("source/1-2-4.parquet")
    house.work.store.remove("source/5-6.parquet")
    house.squares(house.source(*wider))
    assert len(house.seen) == 2


def test_an_output_that_is_lost_is_made_again_alone(house, fresh):
    table = house.squares(house.source(A, B, C))
    house.work.store.remove(table.files[1].path)
    again = house.squares(house.source(A, B, C, D))
    assert house.seen == [[5, 6], [10, 11]]
    assert house.said == ["1 of 4 fragments are new, 1 made again: 50.0 % of the rows computed, the others carried over"]
    same(house, fresh, again, A, B, C, D)


def test_an_append_goes_on_behind_a_compaction_of_the_steps_table(house, fresh):
    house.squares(house.source(A, B, C))
    work = house._work("compact")
    assert house._publish(work, compact(work, SQUARES)).figures["files_after"] == 1
    table = house.squares(house.source(A, B, C, D))
    assert house.seen == [[10, 11]]
    assert (house.mode(), table.figures["num_fragments"]) == ("append", 2)
    assert house.rows(table) == [2, 4, 6, 8, 10]
    assert table.digest == fresh.squares(fresh.source(A, B, C, D)).digest
    again = house.squares(house.source(A, B, C, D, A))
    assert house.rows(again) == [2, 4, 6, 8, 10, 2, 4]
    assert again.digest == fresh.squares(fresh.source(A, B, C, D, A)).digest


def test_what_a_person_changed_in_the_steps_table_is_not_built_upon(house, fresh):
    house.squares(house.source(A, B, C))
    house._publish(house._work("delete"), delete_where(house._work("delete"), SQUARES, "x > 4"))
    table = house.squares(house.source(A, B, C, D))
    assert (house.seen, house.mode()) == ([[10, 11]], "overwrite")
    same(house, fresh, table, A, B, C, D)


def test_rows_deleted_from_the_input_are_seen(house):
    house.squares(house.source(A, B, C))
    deleted = house._publish(house._work("source"), delete_where(house._work("source"), "p.source", "x = 4"))
    table = house.squares(deleted)
    assert house.seen == [[1, 2]]
    assert house.said == ["1 of 3 fragments are new and 1 gone: 40.0 % of the rows computed, the others carried over"]
    assert house.rows(table) == [2, 6, 8]


def test_a_commit_of_another_in_between_is_a_conflict_and_the_next_try_goes_on_from_there(house, fresh):
    house.squares(house.source(A, B))
    work = house._work("squares", grown := house.source(A, B, C))
    late = house._made(work, increment(work, grown).whole(lambda parts: map_rows(work, house._square, parts)))
    house.squares(grown)
    with pytest.raises(Conflict, match="another run has committed meanwhile"):
        house._publish(work, late)
    table = house.squares(house.source(A, B, C, D))
    assert house.seen == [[10, 11]]
    same(house, fresh, table, A, B, C, D)


def test_files_of_a_snapshot_that_expired_meanwhile_are_not_named_anew(house):
    house.squares(house.source(A, B))
    work = house._work("squares", changed := house.source(A, C))
    late = house._made(work, increment(work, changed).whole(lambda parts: map_rows(work, house._square, parts)))
    house.squares(house.source(D))
    house._publish(house._work("expire"), expire(house._work("expire"), SQUARES, keep_last=1))
    with pytest.raises(Conflict, match="has expired on"):
        house._publish(work, late)
    house.squares(changed)
    assert len(house.seen) == 2


def test_new_rows_that_come_out_with_other_columns_are_refused(house):
    house.squares(house.source(A, B))
    with pytest.raises(DataError, match="the columns differ from those of the first fragment: 'y' int64 and string"):
        house.squares(house.source(A, B, C), function=lambda rows: (pa.table({"x": [1], "y": ["no"]}), {"dropped": 0}))


def test_a_record_that_is_damaged_is_told_and_all_is_computed(house):
    table = house.squares(house.source(A, B))
    path = next(file.path for file in table.files if file.path.endswith(BECAME))
    house.work.store.local(path).write_bytes(b"no")
    house.squares(house.source(A, B, C))
    assert len(house.seen) == 3
    assert house.said[0].startswith(f"all 3 fragments are computed: the earlier result cannot be carried over: {path}: the bytes in the")


def test_a_commit_of_nothing_new_says_what_else_is_new_of_the_table(house):
    house.squares(house.source(A, B))
    source = house.source(A, B)
    table = house.squares(replace(source, digest="split by another rule"))
    assert (house.seen, house.rows(table)) == ([], [2, 4, 6])
    newest = latest(house.work.ledger, SQUARES)
    assert newest is not None
    assert newest.artifact == table.id


def test_its_record_is_small(house):
    tables = [pa.table({"x": [2 * n]}) for n in range(300)]
    table = house.squares(house.source(*tables))
    assert next(file.size for file in table.files if file.path.endswith(BECAME)) < 300 * 90


def test_files_that_were_carried_over_are_no_garbage(house, fresh):
    for tables in ((A, B), (A, B, C), (C, A, D)):
        table = house.squares(house.source(*tables))
        for _ in range(2):
            gc(house.work.ledger, house.work.store, grace_s=0)
    assert house.seen == [[10, 11]]
    same(house, fresh, table, C, A, D)
    house.squares(house.source(C, A, D, B))
    assert house.seen == [[5, 6]]
