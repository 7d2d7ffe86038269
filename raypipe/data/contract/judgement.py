"""The judgement of a contract over a table: of the pass that wrote it, or of another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from raypipe.core.artifact import Json, Table
from raypipe.core.errors import DataError
from raypipe.core.step import Work
from raypipe.data.contract.against import NOTHING, Against
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.distances import distances
from raypipe.data.contract.examine import examine
from raypipe.data.contract.findings import finding, is_news, merge, passed, refusals, tolerated, words
from raypipe.data.contract.origin import Numbered, OfTable, Origin
from raypipe.data.contract.reasons import Place
from raypipe.data.contract.references import against
from raypipe.data.contract.refused import kept_to_look_at
from raypipe.data.contract.unique import Known, repeated
from raypipe.data.fragment.fragment import Fragment, write_fragment
from raypipe.data.map import map_fragments
from raypipe.data.table import fragments

if TYPE_CHECKING:
    from raypipe.core.store import Store


def utc_now() -> datetime:
    return datetime.now(UTC)


def findings_of(work: Work, contract: Contract, table: Table, now: Callable[[], datetime] = utc_now) -> dict[str, Json]:
    """`passed`, `rules` (every rule with its figure, bound, examples), `rows`, `against`, `summary` (lines): of the pass that wrote the
    table, or of another one where this contract, or what it is judged against, was another then. DataError with every rule that is broken
    and fails."""
    others = against(work, contract)
    written = table.figures.get("contract")
    if written and written["digest"] == contract.digest() and written.get("against", {}) == others.to_json():
        rules, refused = [rule for rule in written["rules"] if rule["rule"] not in ("min_rows", "max_rows")], []
    else:
        origins = [OfTable(work.store, part) for part in fragments(work.ledger, table)]
        seen = examined(work, contract, origins, others)
        rules, refused = [*seen.rules, *of_table(work, contract, origins, table.num_rows)], seen.refused
    rules = judgement(contract, [*rules, *sizes(work, contract, table.num_rows)], now())
    refuse(work, table.name, rules, refused)
    told = [words(rule) for rule in rules if is_news(rule)]
    summary = told or [f"{len(rules)} rules, none broken"]
    return {"passed": True, "rules": rules, "rows": table.num_rows, "against": others.to_json(), "summary": summary}


def outdated(contract: Contract, report: Mapping[str, Json], now: Callable[[], datetime] = utc_now) -> str | None:
    """How old the table is by now, where that is more than the contract lets a table be that was fresh enough when it was judged."""
    rules = judgement(contract, [rule for rule in report["rules"] if rule["rule"] == "freshness"], now()) if contract.freshness else []
    return next(iter(refusals(rules)), None)


@dataclass(frozen=True)
class Stays:
    """What is in the table already, and stays."""

    num_rows: int = 0
    fragments: Callable[[], Sequence[Fragment]] = lambda: ()
    """Asked for only where a rule looks at the whole table."""
    table: Table | None = None
    """With the contract's figures over those rows; None where they are not known."""

    def rules(self, contract: Contract) -> list[dict[str, Json]] | None:
        """What that contract found in them, of the rules that can be merged; None where it is not known."""
        if not self.num_rows:
            return []
        written = self.table.figures.get("contract") if self.table else None
        if not written or written["digest"] != contract.digest():
            return None
        return [{k: v for k, v in rule.items() if k != "passed"} for rule in written["rules"] if rule["rule"] not in _TABLE_ONLY]

    def unique(self) -> frozenset[str]:
        """The sets of columns of which no values come twice in them, whatever contract found that."""
        written = self.table.figures.get("contract") if self.table else None
        return frozenset(r["column"] for r in (written or {}).get("rules", ()) if r["rule"] == "unique" and not r["figure"])


@dataclass(frozen=True)
class New:
    """What a pass has written, and what the contract found in it."""

    findings: Sequence[Sequence[Mapping[str, Json]]]
    """Of each part, in order."""
    fragments: Sequence[Fragment]
    names: Mapping[str, str] = field(default_factory=dict)
    """Path of a fragment -> the name of what it was made of."""
    refused: Sequence[Fragment] = ()
    """Files of rows that break a rule which fails, with their reasons."""


def judged(
    work: Work, contract: Contract, stays: Stays, new: New, others: Against = NOTHING, *, table: str, now: Callable[[], datetime] = utc_now
) -> dict[str, Json]:
    """The figure `contract`: its digest and its rules over the whole table, of what stays and what is new; nothing where that is not known.
    DataError, with every rule that is broken, where the rows may not go into the table.

    How fresh the table is keeps no row out: old rows may have to come in before newer ones.
    """
    earlier = stays.rules(contract)
    if earlier is None and _judges_shares(contract):
        earlier = examined(work, contract, [OfTable(work.store, part) for part in stays.fragments()], others).rules
    needs_all = contract.unique_sets or any(c.distance for c in contract.columns.values())
    whole = [*stays.fragments(), *new.fragments] if needs_all else []
    origins = [OfTable(work.store, f, new.names.get(f.path, "rows taken before")) for f in whole]
    num_rows = stays.num_rows + sum(f.num_live for f in new.fragments)
    known = Known(len(origins) - len(new.fragments), stays.unique())
    found = [*merge([earlier or [], *new.findings]), *of_table(work, contract, origins, num_rows, known=known)]
    found += sizes(work, contract, num_rows)
    rules = judgement(contract, found, now())
    told = _of_batch(contract, rules, merge(new.findings), now())
    refuse(work, table, [rule for rule in told if rule["rule"] != "freshness"], new.refused)
    for text in tolerated(told):
        work.report(text)
    if earlier is None:
        return {}
    return {"contract": {"digest": contract.digest(), "rules": rules, "against": others.to_json()}}


def _of_batch(
    contract: Contract, rules: Sequence[dict[str, Json]], new: Sequence[Mapping[str, Json]], now: datetime
) -> list[dict[str, Json]]:
    """What is told of a batch: its own rows, but for shares, which are of the whole table."""
    own = {(rule["column"], rule["rule"]): rule for rule in judgement(contract, new, now)}
    return [rule if rule.get("at_most") or "newest" in rule else own.get((rule["column"], rule["rule"]), rule) for rule in rules]


def judgement(contract: Contract, found: Sequence[Mapping[str, Json]], now: datetime) -> list[dict[str, Json]]:
    """The findings with whether each is passed."""
    made = []
    for rule in found:
        judged_rule = _aged(contract, rule, now) if rule["rule"] == "freshness" else {**rule, "passed": passed(rule)}
        made.append(judged_rule)
    return made


def refuse(work: Work, table: str, rules: Sequence[Mapping[str, Json]], refused: Sequence[Fragment]) -> None:
    """DataError with every rule that is broken, and where the rows that break them can be looked at."""
    if told := refusals(rules):
        raise DataError("\n".join([*told, *kept_to_look_at(work, table, refused)]))


@dataclass(frozen=True)
class Seen:
    """What a pass over rows that are there has found."""

    rules: list[dict[str, Json]]
    refused: Sequence[Fragment] = ()
    num_rows: int = 0
    problems: Sequence[str] = ()
    """Why some of them could not be looked at: a file that cannot be read, columns that do not fit."""


def examined(work: Work, contract: Contract, origins: Sequence[Origin], others: Against) -> Seen:
    """Another look at rows that are there. DataError with every part that cannot be read or whose columns do not fit."""
    seen = looked_at(work, contract, origins, others)
    if seen.problems:
        raise DataError("\n".join(seen.problems))
    return seen


def looked_at(work: Work, contract: Contract, origins: Sequence[Origin], others: Against) -> Seen:
    """The same without an error."""
    kernel = _Examine(work.store, f"{work.path}/refused", contract, others)
    done = map_fragments(kernel, [Numbered(n, origin) for n, origin in enumerate(origins)], inline=work.inline)
    rows, problems = sum(d.num_rows for d in done), [line for d in done for line in d.problems]
    return Seen(merge([d.rules for d in done]), [part for d in done for part in d.refused], rows, problems)


_TABLE_ONLY = ("unique", "distance", "min_rows", "max_rows")
"""Rules whose figure is of the whole table, and no sum over its parts."""


def _judges_shares(contract: Contract) -> bool:
    """Whether it depends on how many rows there are in all."""
    shares = [(c.nulls_share, c.tolerance) for c in contract.columns.values()] + [(None, r.tolerance) for r in contract.rules.values()]
    return any(share is not None for pair in shares for share in pair)


def of_table(
    work: Work, contract: Contract, origins: Sequence[Origin], num_rows: int, tables: Store | None = None, known: Known | None = None
) -> list[dict[str, Json]]:
    """What only the whole of the rows can break, but for their number. `tables`: where tables lie that it is measured against. `known`:
    what is known of those that were there before."""
    return [*repeated(work, contract, origins, num_rows, known), *distances(work, contract, origins, num_rows, tables)]


def sizes(work: Work, contract: Contract, num_rows: int) -> list[dict[str, Json]]:
    about = {"figure": num_rows, "rows": num_rows, "examples": []}
    # A sample of a table need not be as large as the table.
    least = contract.min_rows if work.sample >= 1 else min(contract.min_rows, 1)
    made = [finding(None, "min_rows", least, "fail", None) | about | {"passed": num_rows >= least}]
    if contract.max_rows is not None:
        made.append(finding(None, "max_rows", contract.max_rows, "fail", None) | about | {"passed": num_rows <= contract.max_rows})
    return made


def _aged(contract: Contract, rule: Mapping[str, Json], now: datetime) -> dict[str, Json]:
    """The freshness at that moment: the figure is the age in seconds."""
    within = contract.freshness.age if contract.freshness else None
    assert within is not None, "a contract's problems were told before"
    if not rule["newest"]:
        return {**rule, "figure": 0, "passed": False}
    age_s = (now - datetime.fromisoformat(rule["newest"])).total_seconds()
    return {**rule, "figure": round(age_s, 1), "passed": age_s <= within.total_seconds()}


@dataclass(frozen=True)
class _Examine:
    """A fragment -> what a contract finds in it, and a file of rows that it would refuse. It travels to a task."""

    store: Store
    path: str
    contract: Contract
    others: Against

    def __call__(self, item: Numbered) -> Seen:
        found, refused, num_rows = [], None, 0
        try:
            for batch, numbers in item.origin.batches():
                seen = examine(self.contract, self.contract.fit(batch), Place(item.path, numbers), self.others)
                num_rows += batch.num_rows
                found.append(seen.findings)
                refused = seen.refused if refused is None else refused
        except DataError as error:
            lines = str(error).splitlines()
            return Seen([], problems=[line if line.startswith(f"{item.path}:") else f"{item.path}: {line}" for line in lines])
        path = f"{self.path}-{item.number:05d}.parquet"
        return Seen(merge(found), [write_fragment(self.store, path, refused)] if refused else [], num_rows)
