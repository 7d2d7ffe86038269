"""SQL expressions over several rows (aggregates, windows) as trees: what they read and call, and their text with other names in them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest
from raypipe.core.wording import first_line
from raypipe.data.names import quoted
from raypipe.data.shuffle.engine import connected

Node = dict[str, Json]


def tree(sql: str) -> Node:
    """DuckDB's parse of one expression. DataError in its own words where it is none."""
    return copy.deepcopy(_tree(sql))


def text(node: Node) -> str:
    """The expression as SQL."""
    statement = copy.deepcopy(_statement("select 1"))
    statement["statements"][0]["node"]["select_list"] = [{**node, "alias": ""}]
    with connected() as connection:
        ((found,),) = connection.execute("select json_deserialize_sql(?::json)", [json.dumps(statement)]).fetchall()
    return found.removeprefix("SELECT ")


def nodes(node: Json) -> Iterator[Node]:
    """The expression and everything in it that is one."""
    if isinstance(node, dict):
        if "class" in node:
            yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


def columns_read(node: Node) -> list[str]:
    """In the order in which they stand there; of `a.b`, a field of a struct, the column `a`."""
    return list(dict.fromkeys(n["column_names"][0] for n in nodes(node) if n["class"] == "COLUMN_REF"))


def replaced(node: Node, change: Callable[[Node], Node | None]) -> Node:
    """The tree with what `change` returns in the place of a node; None leaves the node and goes on inside it."""

    def walk(value: Json) -> Json:
        if isinstance(value, list):
            return [walk(item) for item in value]
        if not isinstance(value, dict):
            return value
        new = change(value) if "class" in value else None
        return new if new is not None else {name: walk(item) for name, item in value.items()}

    return walk(node)


def renamed(node: Node, names: Mapping[str, str]) -> Node:
    """With other names for its columns."""

    def change(found: Node) -> Node | None:
        if found["class"] != "COLUMN_REF":
            return None
        first, *rest = found["column_names"]
        return {**found, "column_names": [names[first], *rest]}

    return replaced(node, change)


def problems(sql: str, names: Sequence[str] | None) -> list[str]:
    """What is wrong with it whatever it is for: it does not parse, reads what is not there, or gives another value at each run."""
    try:
        found = tree(sql)
    except DataError as error:
        return [f"{error}{_to_quote(sql, names or ())}"]
    wrong = [f"'{sql}' holds {what}; expected an expression over columns" for what in _forbidden(found)]
    if names is not None and not wrong:
        wrong += [f"'{sql}': there is no column '{name}'.{nearest(name, names)}" for name in columns_read(found) if name not in names]
    wrong += [f"'{sql}': there is no function {name}().{nearest(name, _kinds())}" for name in called(found) if name not in _kinds()]
    changing = [name for name in called(found) if _kinds().get(name, ("", "CONSISTENT"))[1] != "CONSISTENT"]
    return wrong + [
        f"'{sql}': {name}() gives another value at each call, so that the table would not be the same twice" for name in changing
    ]


def ungrouped(sql: str, by: Sequence[str]) -> list[str]:
    """Columns that an expression over groups reads outside of aggregates, and that are not the group's own."""
    outside: list[str] = []

    def seen(node: Node) -> Node | None:
        outside.extend(node["column_names"][:1] if node["class"] == "COLUMN_REF" else ())
        return node if is_aggregate(node) else None

    replaced(tree(sql), seen)
    keys = {name.lower() for name in by}
    return [
        f"'{sql}': column '{name}' has many values in a group: aggregate it (max({name})), or put it into `by`"
        for name in dict.fromkeys(outside)
        if name.lower() not in keys
    ]


def over_groups(sql: str) -> list[str]:
    """Windows over the groups themselves: where these are dealt to several tasks, each would see its own share of them alone."""
    if not any(node["class"] == "WINDOW" for node in nodes(tree(sql))):
        return []
    return [f"'{sql}' looks from one group at the others (`over`): that is a step of its own behind this one, raypipe.Window"]


def called(node: Node) -> list[str]:
    """The functions in it, operators apart."""
    calls = (n for n in nodes(node) if n["class"] in ("FUNCTION", "WINDOW") and not n.get("is_operator"))
    return list(dict.fromkeys(n["function_name"].lower() for n in calls))


def is_aggregate(node: Node) -> bool:
    return node["class"] == "FUNCTION" and _kinds().get(node["function_name"].lower(), ("", ""))[0] == "aggregate"


def _to_quote(sql: str, names: Sequence[str]) -> str:
    """A hint where a column has the name of a word of SQL's."""
    found = [name for name in names if name.lower() in _reserved() and re.search(rf'(?<!["\w]){re.escape(name)}(?!["\w])', sql)]
    return f". A column named like a word of SQL is written in double quotes: {', '.join(map(quoted, found))}" if found else ""


def _forbidden(node: Node) -> list[str]:
    words = {"SUBQUERY": "a SELECT of its own", "STAR": "a star", "PARAMETER": "a parameter", "LAMBDA": "a lambda"}
    found = [words[n["class"]] for n in nodes(node) if n["class"] in words]
    found += [f"{name}(), which makes several rows of one" for name in called(node) if name in ("unnest", "unlist")]
    return list(dict.fromkeys(found))


@lru_cache(maxsize=1024)
def _tree(sql: str) -> Node:
    found = _statement(f"select {sql}")
    ours = _statement("select 1")
    node, plain = found["statements"][0]["node"], ours["statements"][0]["node"]
    selected = node.get("select_list") or []
    # A clause behind the expression would be dropped in silence.
    extra = [key for key in plain if key != "select_list" and node.get(key) != plain[key] and key != "from_table"]
    if len(found["statements"]) != 1 or len(selected) != 1 or extra or node["from_table"]["type"] != "EMPTY":
        raise DataError(f"'{sql}' is no single SQL expression")
    if selected[0]["alias"]:
        raise DataError(f"'{sql}' names its result: the name stands before the expression")
    return selected[0]


@lru_cache(maxsize=1024)
def _statement(sql: str) -> Json:
    with connected() as connection:
        try:
            ((row,),) = connection.execute("select json_serialize_sql(?)", [sql]).fetchall()
        except Exception as error:
            raise DataError(f"'{sql}' is no SQL expression: {first_line(error)}") from None
    parsed = json.loads(row)
    if parsed.get("error"):
        raise DataError(f"'{sql.removeprefix('select ')}' is no SQL expression: {parsed['error_message'].splitlines()[0]}")
    return parsed


@lru_cache(maxsize=1)
def _reserved() -> frozenset[str]:
    with connected() as connection:
        sql = "select keyword_name from duckdb_keywords() where keyword_category not in ('unreserved')"
        return frozenset(name for (name,) in connection.execute(sql).fetchall())


@lru_cache(maxsize=1)
def _kinds() -> dict[str, tuple[str, str]]:
    """Function -> its type and its stability, the worst of its overloads."""
    with connected() as connection:
        rows = connection.execute(
            "select function_name, function_type, coalesce(stability, 'CONSISTENT') from duckdb_functions()"
        ).fetchall()
    kinds: dict[str, tuple[str, str]] = {}
    for name, type_, stability in rows:
        before = kinds.get(name.lower(), (type_, stability))
        kinds[name.lower()] = (type_, max(before[1], stability, key=lambda word: word != "CONSISTENT"))
    return kinds
