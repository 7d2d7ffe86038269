"""Databases as sources: each row once by its watermark, late ones by the overlap, exact types, and bound parameters alone."""

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import create_engine, text

from raypipe.core.errors import DataError
from raypipe.core.step import Look
from raypipe.data.source.piece import NOTHING, Limit, Progress
from raypipe.data.source.sql import Sql


class World:
    """A database to write to, and the source's settings for it."""

    def __init__(self, at, project, **settings):
        self.engine, self.settings = create_engine(at), settings
        self.look: Any = Look("p", project, "p", "source", *[None, None])  # type: ignore[arg-type]
        self.table = f"orders_{uuid.uuid4().hex[:8]}"

    def do(self, *statements, **values):
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement.replace("orders", self.table)), values)

    def source(self, **settings) -> Sql:
        if "query" in settings:
            settings["query"] = settings["query"].replace("orders", self.table)
        return Sql(**{**({} if "query" in settings else {"table": self.table}), **self.settings, **settings})


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def world(request, tmp_path, monkeypatch):
    if request.param == "sqlite":
        found = World(f"sqlite:///{tmp_path}/shop.db", tmp_path, url="sqlite:///shop.db")
    else:
        url = request.getfixturevalue("postgres_url")
        monkeypatch.setenv("SHOP_URL", url)
        found = World(url, tmp_path, url_env="SHOP_URL")
    found.do("create table orders (id bigint, name text, at bigint)")
    yield found
    found.engine.dispose()


def put(world, *rows):
    for number, at in rows:
        world.do("insert into orders values (:id, :name, :at)", id=number, name=f"order {number}", at=at)


def take(world, source, progress=NOTHING, limit=None, types=None) -> Any:
    new: Any = source.new(world.look, progress, limit)
    batches = [batch for piece in new.pieces for batch in source.batches(piece, types or {})]
    marks = [batch.mark for batch in batches if batch.mark is not None]
    rows: Any = pa.concat_tables([batch.rows for batch in batches]) if batches else None
    return rows, source.settle(new, marks)


def taken(world, source, progress=NOTHING, limit=None):
    """The ids that are taken, and the progress that would be committed."""
    rows, new = take(world, source, progress, limit)
    assert source.new(world.look, Progress(new.after)).state == new.state or new.more, "what is settled is what a plan sees"
    return sorted(rows["id"].to_pylist()) if rows else [], Progress(new.after)


def told(world, source, progress=NOTHING):
    with pytest.raises(DataError) as error:
        take(world, source, progress)
    return str(error.value)


def test_rows_above_the_watermark_are_new(world):
    put(world, (1, 10), (2, 20))
    source = world.source(watermark="at")
    found, progress = taken(world, source)
    assert found == [1, 2]
    assert taken(world, source, progress)[0] == []
    put(world, (3, 30))
    found, progress = taken(world, source, progress)
    assert (found, progress.position["watermark"]) == ([3], 30)


def test_a_row_with_the_very_watermark_that_was_reached_is_taken_once(world):
    put(world, (1, 10), (2, 10))
    source = world.source(watermark="at")
    _, progress = taken(world, source)
    put(world, (3, 10))
    found, progress = taken(world, source, progress)
    assert found == [3]
    assert taken(world, source, progress)[0] == []


@pytest.mark.parametrize("key", [None, ["id"]])
def test_late_rows_within_the_overlap_come_once_and_in_the_next_snapshot(world, key):
    put(world, (1, 100), (2, 110))
    source = world.source(watermark="at", overlap=20, key=key)
    found, progress = taken(world, source)
    put(world, (3, 95), (4, 115))
    found, progress = taken(world, source, progress)
    assert found == [3, 4]
    put(world, (5, 96))
    found, progress = taken(world, source, progress)
    assert found == [5]
    put(world, (6, 40), (7, 116))
    found, progress = taken(world, source, progress)
    assert found == [7], "beyond the overlap it is too late"
    assert taken(world, source, progress)[0] == []


def test_equal_rows_are_told_apart_by_their_number(world):
    put(world, (1, 100), (1, 100))
    source = world.source(watermark="at", overlap=20)
    found, progress = taken(world, source)
    assert found == [1, 1]
    put(world, (1, 100), (1, 100))
    found, progress = taken(world, source, progress)
    assert found == [1, 1]
    assert taken(world, source, progress)[0] == []


def test_an_overlap_that_is_made_longer_doubles_nothing(world):
    put(world, (1, 100), (2, 110))
    _, progress = taken(world, world.source(watermark="at", overlap=5))
    longer = world.source(watermark="at", overlap=50)
    assert taken(world, longer, progress)[0] == []
    put(world, (3, 200))
    found, progress = taken(world, longer, progress)
    assert found == [3]
    put(world, (4, 160))
    assert taken(world, longer, progress)[0] == [4]


def test_an_update_is_a_new_record(world):
    put(world, (1, 100))
    source = world.source(watermark="at", overlap=20, key=["id"])
    _, progress = taken(world, source)
    world.do("update orders set name = 'changed', at = 105")
    rows, _ = take(world, source, progress)
    assert rows.to_pylist()[0]["name"] == "changed"


def test_a_limit_ends_at_a_watermark_and_rows_that_share_it_stay_together(world):
    put(world, *[(n, 10 * (n // 3)) for n in range(1, 10)])
    source = world.source(watermark="at")
    batches, progress, new = [], NOTHING, None
    while new is None or new.more:
        rows, new = take(world, source, progress, Limit(num_rows=4))
        progress = Progress(new.after)
        batches.append(sorted(rows["id"].to_pylist()))
    assert batches == [[1, 2, 3, 4, 5], [6, 7, 8, 9]]
    assert new.lag == {"rows": 0}


@pytest.mark.parametrize("shards", [1, 3, 7])
def test_shards_make_up_the_whole(world, shards):
    put(world, *[(n, n * n) for n in range(50)])
    world.do("insert into orders values (null, 'no id', 9)")
    source = world.source(watermark="at", shards=shards, shard_by="id")
    new = source.new(world.look, NOTHING)
    assert len(new.pieces) == shards
    assert len({piece.name for piece in new.pieces}) == shards
    rows, _ = take(world, source)
    assert sorted(rows["id"].to_pylist(), key=str) == sorted([*range(50), None], key=str)


def test_columns_and_conditions_are_the_databases_work_and_parameters_are_bound(world):
    put(world, (1, 10), (2, 20), (3, 30))
    world.do("insert into orders values (4, :name, 40)", name="it's '; drop table orders; --")
    source = world.source(watermark="at", columns=["name"], where="id > :least", parameters={"least": 2})
    rows, new = take(world, source)
    assert rows.column_names == ["name"]
    assert rows["name"].to_pylist() == ["order 3", "it's '; drop table orders; --"]
    assert new.after["watermark"] == 40
    by_query = world.source(query="select id, name from orders where name = :name;", parameters={"name": "it's '; drop table orders; --"})
    assert take(world, by_query, types={"id": pa.int64()})[0]["id"].to_pylist() == [4]


def test_names_are_quoted(world):
    world.do('create table "select ""orders" ("order by" bigint, "ß" bigint)', 'insert into "select ""orders" values (1, 2)')
    source = Sql(table=f'select "{world.table}', watermark="order by", **world.settings)
    assert take(world, source)[0].to_pylist() == [{"order by": 1, "ß": 2}]


def test_without_a_watermark_the_whole_is_read_where_it_has_changed(world):
    put(world, (1, 10), (2, 20))
    source = world.source()
    rows, new = take(world, source)
    assert (rows.num_rows, new.whole) == (2, True)
    again = source.new(world.look, Progress(new.after))
    assert (list(again.pieces), again.state) == ([], new.state)
    world.do("update orders set name = 'x' where id = 1")
    rows, changed = take(world, source, Progress(new.after))
    assert (rows.num_rows, changed.state != new.state) == (2, True)


def test_a_watermark_that_goes_backwards_is_refused_with_the_position(world):
    put(world, (1, 10), (2, 20))
    source = world.source(watermark="at")
    _, progress = taken(world, source)
    world.do("delete from orders where id = 2")
    text = told(world, source, progress)
    assert f"{world.table}: was taken up to at 20, and its greatest is 10 now: the watermark went backwards. Nothing was taken." in text
    world.do("delete from orders")
    assert "has no value now: there are no rows" in told(world, source, progress)


def test_a_null_watermark_is_refused(world):
    put(world, (1, 10))
    world.do("insert into orders values (2, 'x', null), (3, 'y', null)")
    text = told(world, world.source(watermark="at"))
    assert text.startswith(f"{world.table}: 2 rows have no at, so that it cannot be told whether they are new.")
    assert taken(world, world.source(watermark="at", where="at IS NOT NULL"))[0] == [1]


def test_a_table_that_was_dropped_is_named_with_the_position(world):
    put(world, (1, 10))
    source = world.source(watermark="at")
    _, progress = taken(world, source)
    (piece,) = source.new(world.look, NOTHING).pieces
    world.do("drop table orders")
    text = told(world, source, progress)
    assert "there is no such table in " in text or "does not exist" in text
    assert text.endswith("; it was taken up to at 10")
    with pytest.raises(DataError, match=rf"{world.table}.*It was being read: {world.table} \(at to 10\)"):
        list(source.batches(piece, {}))


def test_a_column_that_is_not_there_is_told_with_the_nearest(world):
    put(world, (1, 10))
    assert told(world, world.source(watermark="att")) == f"{world.table}: no column 'att'. Did you mean 'at'?"
    assert told(world, world.source(columns=["nam"])) == f"{world.table}: no column 'nam'. Did you mean 'name'?"


def test_times_as_watermark(world):
    kind = "timestamptz" if "env" in str(world.settings) else "datetime"
    world.do(f"create table orders_t (id bigint, at {kind})")
    moments = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(4)]
    rows = [m if kind == "timestamptz" else m.strftime("%Y-%m-%d %H:%M:%S") for m in moments]
    for n in (0, 1):
        world.do("insert into orders_t values (:n, :at)", n=n, at=rows[n])
    source = Sql(table=f"{world.table}_t", watermark="at", overlap=60, shards=2, **world.settings)
    found, progress = taken(world, source)
    assert found == [0, 1]
    world.do("insert into orders_t values (:n, :at)", n=3, at=rows[3])
    found, progress = taken(world, source, progress)
    world.do("insert into orders_t values (:n, :at)", n=2, at=rows[2])
    assert (found, taken(world, source, progress)[0]) == ([3], [2])
    got = take(world, source)[0]
    assert got.schema.field("at").type == pa.timestamp("us", "UTC" if kind == "timestamptz" else None)


EXACT = {
    "a smallint": (pa.int16(), 7),
    "b integer": (pa.int32(), -(2**31)),
    "c bigint": (pa.int64(), 2**62),
    "d numeric(20, 3)": (pa.decimal128(20, 3), Decimal("12345678901234567.125")),
    "e real": (pa.float32(), 0.5),
    "f double precision": (pa.float64(), 0.1),
    "g boolean": (pa.bool_(), True),
    "h text": (pa.string(), "ß"),
    "i bytea": (pa.binary(), b"\x00\xff"),
    "j date": (pa.date32(), date(2026, 1, 2)),
    "k timestamp": (pa.timestamp("us"), datetime(2026, 1, 2, 3, 4, 5, 6)),
    "l timestamptz": (pa.timestamp("us", "UTC"), datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)),
    "m json": (pa.string(), '{"b": 1.10,  "a": 2}'),
    "n jsonb": (pa.string(), '{"a": 2, "b": 1.10}'),
    "o uuid": (pa.string(), "6f2c1f0e-0000-4000-8000-000000000001"),
    "p bigint[]": (pa.list_(pa.int64()), [1, 2]),
    "q char(3)": (pa.string(), "abc"),
}


@pytest.mark.parametrize("world", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_postgresql_types_are_exact(world):
    world.do(f"create table orders_x ({', '.join(EXACT)})")
    values = {f"v{n}": value for n, (_, value) in enumerate(EXACT.values())}
    casts = [f"cast(:v{n} as {column.partition(' ')[2]})" for n, column in enumerate(EXACT)]
    world.do(f"insert into orders_x values ({', '.join(casts)})", **values)
    rows, _ = take(world, Sql(table=f"{world.table}_x", **world.settings))
    assert {f.name: f.type for f in rows.schema} == {name.split()[0]: type for name, (type, _) in EXACT.items()}
    assert list(rows.to_pylist()[0].values()) == [value for _, value in EXACT.values()]
    by_query, _ = take(world, Sql(query=f"select * from {world.table}_x", **world.settings))
    assert by_query.equals(rows)


@pytest.mark.parametrize("world", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_a_type_without_an_exact_one_must_be_stated(world):
    world.do("create table orders_y (x numeric, t interval)", "insert into orders_y values (1.5, '1 month')")
    source = Sql(table=f"{world.table}_y", columns=["x"], **world.settings)
    assert "column 'x': the database does not state its type, and a Decimal has no exact type in Arrow by itself" in told(world, source)
    stated = Sql(table=f"{world.table}_y", columns=["x"], types={"x": "decimal128(38, 9)"}, **world.settings)
    assert take(world, stated)[0]["x"].to_pylist() == [Decimal("1.5")]
    assert take(world, source, types={"x": pa.decimal128(5, 1)})[0]["x"].to_pylist() == [Decimal("1.5")]


@pytest.mark.parametrize("world", ["sqlite"], indirect=True)
def test_sqlite_values_that_are_not_of_their_type_are_told(world):
    world.do("insert into orders values ('x', 'y', 1)")
    assert told(world, world.source(watermark="at")) == f"{world.table} (at to 1): column 'id': 'x' is no int64"
    world.do(
        "create table orders_z (d decimal(5, 2), t datetime, b boolean)", "insert into orders_z values (1.25, '2026-01-02 03:04:05', 1)"
    )
    rows, _ = take(world, Sql(table=f"{world.table}_z", **world.settings))
    assert rows.to_pylist() == [{"d": Decimal("1.25"), "t": datetime(2026, 1, 2, 3, 4, 5), "b": True}]


@pytest.mark.parametrize("world", ["sqlite"], indirect=True)
def test_sqlite_is_opened_read_only_and_must_be_there(world, tmp_path):
    assert told(world, Sql(table="t", url="sqlite:///nowhere.db")) == f"t: there is no database {tmp_path}/nowhere.db"
    assert not (tmp_path / "nowhere.db").exists()


def test_rows_are_fetched_in_bounded_memory(world, monkeypatch):
    monkeypatch.setattr("raypipe.data.source.sql_rows.FETCHED", 10)
    put(world, *[(n, n) for n in range(35)])
    source = world.source(watermark="at", overlap=100)
    (piece,) = source.new(world.look, NOTHING).pieces
    assert [batch.rows.num_rows for batch in source.batches(piece, {})] == [10, 10, 10, 5, 0]
    _, progress = taken(world, source)
    assert taken(world, source, progress)[0] == []


def test_what_the_environment_should_hold_is_named(tmp_path):
    world: Any = World("sqlite://", tmp_path)
    assert "the environment variable NO_SUCH_URL is not set" in told(world, Sql(table="t", url_env="NO_SUCH_URL"))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "expected either `table` or `query`"),
        ({"table": "t", "url": "postgresql://u:p@h/d"}, "url holds a password: put the whole URL into an environment variable"),
        ({"table": "t", "url": "postgresql://h/d?sslpassword=x"}, "url holds sslpassword"),
        ({"table": "t"}, "expected either `url` or `url_env`"),
        ({"query": "delete from t", "url_env": "U"}, "query is no SELECT"),
        ({"table": "t", "where": "a = :b", "url_env": "U"}, "parameters: ':b' has no value"),
        ({"table": "t", "parameters": {"b": 1}, "url_env": "U"}, "parameters: there is no ':b' in the SQL"),
        ({"table": "t", "overlap": 5, "url_env": "U"}, "overlap is 5, expected 0 or more, and a watermark"),
        ({"table": "t", "shards": 2, "url_env": "U"}, "shards is 2, expected 1 or more, and a column"),
        ({"table": "t", "types": {"a": "int"}, "url_env": "U"}, "types.a: 'int' is no type"),
    ],
)
def test_bad_settings_are_told(settings, text):
    assert text in "\n".join(Sql(**settings).problems())


def test_good_settings_have_no_problem():
    assert Sql(query="select a::int, '12:30' from t where b = :c", parameters={"c": 1}, url="postgresql://u@h/d").problems() == []
