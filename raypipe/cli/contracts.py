"""tables infer and tables validate: a contract written from rows as they are, and rows of any kind held to a contract."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.text import Text

from raypipe.cli.terminal import console
from raypipe.core.errors import ConfigError, DataError
from raypipe.core.step import Work
from raypipe.core.wording import size_text

if TYPE_CHECKING:
    from raypipe.core.artifact import Json
    from raypipe.core.store import Store
    from raypipe.data.contract.contract import Contract
    from raypipe.data.contract.origin import Origin
    from raypipe.data.contract.trial import Trial
    from raypipe.pipeline.plan import Scene

RAY_BYTES = 2 << 30
"""From so many bytes on Ray is worth its start of six seconds; below, this process reads file after file."""
EXAMPLES_SHOWN = 3
STYLES = {"ok": "green", "broken": "red", "let through": "yellow", "kept out": "yellow", "dropped": "yellow", "warning": "yellow"}


def infer(options: argparse.Namespace) -> int:
    """A contract to start from, as YAML, into the terminal or a file."""
    from raypipe.data.contract.infer import infer as inferred
    from raypipe.data.contract.written import stated, to_yaml

    out = Path(options.out) if options.out else None
    if out and out.exists() and not options.force:
        raise ConfigError(f"{out} is there already: name another file, or give --force to replace it.")
    with _looking(options.rows) as looked:
        found = inferred(looked.work, looked.origins())
    text = to_yaml(found, looked.told)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
    if options.json:
        print(json.dumps(stated(found.contract), indent=2, default=str))
    elif out:
        print(f"{out}: {len(found.contract.columns)} columns of {looked.told}, {found.num_rows:,} rows")
        print(f"raypipe tables validate {options.rows} --contract {out}")
    else:
        print(text, end="")
    return 0


def validate(options: argparse.Namespace) -> int:
    """Each rule with its figure; exit code 3 where the contract is broken. Without --contract: what was found when a table was made."""
    if not options.contract:
        return _recorded(options)
    from raypipe.config.contract import read_contract
    from raypipe.data.contract.trial import trial

    options.config_name = options.contract
    contract = read_contract(Path(options.contract))
    with _looking(options.rows, contract) as looked:
        found = trial(looked.work, contract, looked.origins(contract.types()), looked.tables)
        if options.output and found.refused is not None:
            from raypipe.cli.rows import write_rows

            write_rows(found.refused, Path(options.output))
    if options.json:
        print(json.dumps(found.to_json(), indent=2, default=str))
    else:
        _show(f"{looked.told}: {found.num_rows:,} rows held to {options.contract}", found.rules, found.problems)
        _conclude(options, found)
    return 0 if found.passed else 3


def _recorded(options: argparse.Namespace) -> int:
    """What the contract of the step that made a table has found in its rows."""
    from raypipe.pipeline.plan import open_scene
    from raypipe.pipeline.reach import reached

    found = reached(open_scene(), options.rows)
    written = found.artifact.figures.get("contract")
    if not written:
        raise ConfigError(f"{options.rows}: it was made without a contract, or is not known under one. Name one with --contract FILE.")
    rules = written["rules"]
    passed = all(rule.get("passed", True) or rule["on_breach"] == "warn" for rule in rules)
    if options.json:
        print(json.dumps({"passed": passed, "rows": found.snapshot.num_rows, "problems": [], "rules": rules}, indent=2, default=str))
    else:
        told = f"{found.snapshot.name} snapshot {found.snapshot.id}: {found.snapshot.num_rows:,} rows, as the contract found them"
        _show(f"{told} when they were taken", rules, ())
    return 0 if passed else 3


@dataclass(frozen=True)
class _Looked:
    """Rows to look at, and scratch paper to do it on."""

    work: Work
    told: str
    origins: Callable[..., Sequence[Origin]]
    """Given the types that are wanted."""
    tables: Store | None
    """Where the project's tables lie, if anything asks for them."""


@contextmanager
def _looking(rows: str, contract: Contract | None = None) -> Iterator[_Looked]:
    """Opens the project only where a table is asked for, so that files are looked at anywhere; starts Ray only for a great many bytes."""
    from raypipe.core.store import Store
    from raypipe.data.contract.trial import files_of

    is_table = _is_table(rows)
    scene = _scene(is_table or (contract is not None and _names_tables(contract)))
    with tempfile.TemporaryDirectory(prefix="raypipe-") as scratch:
        ledger: Any = scene.ledger if scene else None
        project = scene.ledger.project if scene else ""
        work = Work(project, Path.cwd(), "by-hand", "validate", ledger, Store.open(scratch), path="trial", inline=True)
        found = _fragments(cast(Any, scene), rows) if is_table else files_of(work, rows)
        if not found:
            raise DataError(f"{rows}: there are no rows")
        told = _told(rows, found)

        def origins(types: Any = None) -> Sequence[Origin]:
            return found if is_table or not types else files_of(work, rows, types)

        with _spread(work, found) as spread:
            yield _Looked(spread, told, origins, scene.store if scene else None)


@contextmanager
def _spread(work: Work, origins: Sequence[Origin]) -> Iterator[Work]:
    from dataclasses import replace

    if sum(origin.size for origin in origins) < RAY_BYTES or len(origins) < 2:
        yield work
        return
    from raypipe.core.cluster import Local, connect

    with connect(Local(), Path.cwd()) as session:
        yield replace(work, inline=session.inline)


def _is_table(rows: str) -> bool:
    """What is no file, no pattern and no URL is a table's name."""
    from raypipe.data.contract.trial import KINDS

    is_file = Path(rows).exists() or "://" in rows or any(sign in rows for sign in "*?[")
    return not is_file and not any(rows.lower().endswith(kind.suffixes) for kind in KINDS) and "/" not in rows


def _names_tables(contract: Contract) -> bool:
    return any(column.references or column.distance for column in contract.columns.values())


def _scene(wanted: bool) -> Scene | None:
    from raypipe.pipeline.plan import open_scene

    return open_scene() if wanted else None


def _fragments(scene: Scene, name: str) -> list[Origin]:
    from raypipe.data.contract.origin import OfTable
    from raypipe.data.table import fragments
    from raypipe.pipeline.reach import reached

    found = reached(scene, name).artifact
    return [OfTable(scene.store, part) for part in fragments(scene.ledger, found)]


def _told(rows: str, found: Sequence[Origin]) -> str:
    files = f"{len(found):,} files of " if len(found) > 1 else ""
    return f"{rows} ({files}{size_text(sum(origin.size for origin in found))})"


def _show(head: str, rules: Sequence[Json], problems: Sequence[str]) -> None:
    from rich.table import Table

    out = console()
    out.print(head, style="bold", markup=False)
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name, justify in (
        ("", "left"),
        ("what", "left"),
        ("rule", "left"),
        ("found", "right"),
        ("of", "right"),
        ("share", "right"),
        ("", "left"),
    ):
        table.add_column(name, justify=cast(Any, justify), overflow="fold")
    for rule, kept in _lines(rules):
        state = _state(rule)
        table.add_row(Text(state, style=STYLES[state]), *map(Text, _cells(rule, kept)), Text(_done(rule, state), style="dim"))
        for example in rule["examples"][:EXAMPLES_SHOWN] if _is_shown(rule, state) else ():
            table.add_row("", "", Text(_example(example), style="dim"))
    out.print(table)
    for problem in problems:
        out.print(Text(problem, style="red"))


def _lines(rules: Sequence[Json]) -> list[tuple[Json, list[str]]]:
    """The rules that are shown on a line each; what a column keeps besides stands on one line, with its words."""
    from raypipe.data.contract.findings import is_measured

    lines: dict[Any, tuple[Json, list[str]]] = {}
    for number, rule in enumerate(rules):
        together = _state(rule) == "ok" and rule["column"] is not None and not is_measured(rule)
        line = lines.setdefault(rule["column"] if together else number, (rule, []))
        line[1].append(_words(rule) if not is_measured(rule) else "")
    return list(lines.values())


def _is_shown(rule: Json, state: str) -> bool:
    """Examples of what a share lets through are no news."""
    return state not in ("ok", "let through")


def _state(rule: Json) -> str:
    from raypipe.data.contract.findings import passed
    from raypipe.data.contract.trial import broken

    if not broken(rule):
        return "ok"
    if passed(rule):
        return {"quarantine": "kept out", "drop": "dropped"}.get(rule["on_breach"], "let through")
    return "warning" if rule["on_breach"] == "warn" else "broken"


def _cells(rule: Json, kept: Sequence[str]) -> tuple[str, str, str, str, str]:
    from raypipe.data.contract.findings import age, is_measured

    what = rule["column"] or ("the table" if is_measured(rule) else "rule")
    if rule["rule"] == "freshness":
        return what, f"at most {rule['bound']} old", age(rule["figure"]) if rule["newest"] else "nothing", "", ""
    if rule["rule"] == "distance":
        return what, f"{rule['measure']} from {rule['against']} at most {rule['bound']:g}", f"{rule['figure']:.4f}", "", ""
    if is_measured(rule):
        return what, f"{'at least' if rule['rule'] == 'min_rows' else 'at most'} {rule['bound']:,} rows", f"{rule['figure']:,}", "", ""
    share = f"{rule['figure'] / rule['rows']:.3%}" if rule["figure"] and rule["rows"] else ""
    return what, ", ".join(kept), f"{rule['figure']:,}", f"{rule['rows']:,}", share


def _words(rule: Json) -> str:
    """`min 0`, `nulls at most 5 %`, `arrives_later: arr_time > dep_time`."""
    name, bound = rule["rule"], rule["bound"]
    if rule["column"] is None:
        return f"{name}: {bound}"
    if name == "nulls":
        return "no nulls" if bound is False else f"nulls at most {bound:.3g}"
    if name == "allowed":
        return f"allowed {', '.join(map(str, bound[:6]))}" + (f" and {len(bound) - 6} more" if len(bound) > 6 else "")
    return name if bound is None else f"{name} {bound}"


def _done(rule: Json, state: str) -> str:
    """What an ingest would do."""
    if state == "ok":
        return ""
    if rule.get("at_most"):
        return f"at most {rule['at_most']:.3%} may"
    return {"quarantine": "to quarantine", "warn": "kept"}.get(rule["on_breach"], "")


def _example(example: Json) -> str:
    row = "" if example.get("row") is None else f" row {example['row']:,}"
    return f"{example['file']}{row}: {'no value' if example['value'] is None else example['value']}"


def _conclude(options: argparse.Namespace, found: Trial) -> None:
    from raypipe.data.contract.findings import passed

    out = console()
    num = sum(not passed(rule) and rule["on_breach"] != "warn" for rule in found.rules)
    if found.passed:
        out.print(f"the contract holds: {len(found.rules)} rules", style="green")
        return
    what = f"{num} of {len(found.rules)} rules broken" if found.rules else "nothing could be judged"
    unread = f", {len(found.problems)} problems with files" if found.problems else ""
    out.print(f"the contract is broken: {what}{unread}", style="red")
    if found.refused is not None:
        told = f"written to {options.output}" if options.output else "written by -o FILE"
        out.print(
            f"the first {found.refused.num_rows:,} rows that break it, with file, row and reasons, are {told}", style="dim", markup=False
        )
