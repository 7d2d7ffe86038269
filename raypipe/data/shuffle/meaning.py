"""What a table's schema says beyond its columns (marks, split rule, label), carried on to a table that is made of its rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, Problem
from raypipe.core.step import Work
from raypipe.data.expression import Expression
from raypipe.data.shuffle.expression import columns_read, tree
from raypipe.data.split import columns as rule_columns


def require_split_columns(work: Work, split: Json | None, names: Collection[str], setting: str) -> None:
    """DataError where rows of different parts would come together: each row's part is told by the rule's columns."""
    if split is None:
        return
    lost = [name for name in rule_columns(split) if name not in names]
    if lost:
        raise DataError(
            f"{work.step}: the table is split by '{lost[0]}', which is not among `{setting}`: rows of the training and the test part would "
            f"be counted together, and what is learnt from training rows would know the others. Put '{lost[0]}' among `{setting}`, or let "
            "the step read the table before its split."
        )


def require_kept(work: Work, split: Json | None, changed: Collection[str]) -> None:
    """DataError where columns that tell a row's part would be made anew."""
    lost = [name for name in (rule_columns(split) if split else ()) if name in changed]
    if lost:
        raise DataError(
            f"{work.step}: changes the column '{lost[0]}', by which the rows are split into parts; give the new one another name."
        )


def marked(made: Iterable[tuple[str, Iterable[str]]], known_afterwards: Collection[str]) -> tuple[str, ...]:
    """Of columns, each with those that it is made from, the ones that are known only afterwards."""
    return tuple(sorted(name for name, reads in made if any(read in known_afterwards for read in reads)))


def reads(sql: str) -> list[str]:
    """The columns of an expression over several rows; none of one that does not parse, which `check` tells."""
    try:
        return columns_read(tree(sql))
    except DataError:
        return []


def reads_of_row(sql: str | None) -> list[str]:
    """The same of a condition over one row."""
    return [] if sql is None or Expression(sql).problems() else Expression(sql).columns


def require(work: Work, problems: Sequence[Problem]) -> None:
    """DataError with all of them: what could not be known before the table was there."""
    if problems:
        raise DataError("\n".join(map(str, problems)))
