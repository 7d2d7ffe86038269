"""What store and ledger hold, by step and by table: what would go under a policy, how much that is, and why the rest stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from raypipe.core.retention import Retention
from raypipe.data.lake.forget import Old, old
from raypipe.data.lake.gc import Collected, Garbage, Going, gc
from raypipe.data.lake.keeping import Held, Keeping, keeping

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger
    from raypipe.core.store import Store


@dataclass(frozen=True)
class Holding:
    """One step's artifacts, or one table's snapshots."""

    what: str
    """`step shop.train`, `table shop.transform`."""
    num_going: int
    """What nothing keeps."""
    num_kept: int
    why: Mapping[str, int] = field(default_factory=dict)
    """Reason -> how many it keeps."""
    num_files: int = 0
    """That nothing would name then, and that are on no list yet."""
    num_bytes: int = 0

    def __str__(self) -> str:
        if len(self.why) == 1:
            return f"keeps {self.num_kept}, {next(iter(self.why))}"
        kept = ", ".join(f"{count} {reason}" for reason, count in self.why.items())
        return f"keeps {self.num_kept}{': ' if kept else ''}{kept}"


@dataclass(frozen=True)
class Survey:
    """All of it."""

    holdings: tuple[Holding, ...]
    """Where something would go first."""
    old: Old
    """Of runs."""
    on_list: Collected
    """What nothing names as it is."""
    files: tuple[Garbage, ...]
    """What nothing would name, beyond that, once what nothing keeps is released."""
    num_files: int
    """Of the store."""
    num_bytes: int

    @property
    def releasable_bytes(self) -> int:
        """What `gc` would give free, now or later."""
        return sum(g.size for g in (*self.files, *self.on_list.listed, *self.on_list.deleted))


def survey(ledger: Ledger, store: Store, policy: Retention, *, grace_s: float | None = None) -> Survey:
    """Reads the ledger and lists the store's files; nothing is changed."""
    now = datetime.now(UTC)
    with ledger.reading() as connection:
        found = keeping(connection, ledger.project, policy, ledger.one_host, now)
        history = old(connection, ledger, policy, now)
    now_on_list = gc(ledger, store, policy=policy, grace_s=grace_s, dry_run=True)
    going = Going(frozenset(held.id for held in found.released), frozenset(number for _, number in found.ending))
    then = gc(ledger, store, policy=policy, grace_s=grace_s, dry_run=True, going=going)
    there = {g.path for g in (*now_on_list.listed, *now_on_list.deleted)}
    files = tuple(g for g in (*then.listed, *then.deleted) if g.path not in there)
    return Survey(tuple(_holdings(found, files)), history, now_on_list, files, *store.size())


def _holdings(found: Keeping, files: Iterable[Garbage]) -> list[Holding]:
    sizes: dict[str, list[int]] = {}
    for garbage in files:
        sizes.setdefault(".".join(garbage.path.split("/", 2)[:2]), []).append(garbage.size)
    made = [*_steps(found, sizes), *_tables(found)]
    return sorted(made, key=lambda holding: (-holding.num_bytes, -holding.num_going, holding.what))


def _steps(found: Keeping, sizes: Mapping[str, list[int]]) -> Iterable[Holding]:
    by_step: dict[str, list[Held]] = {}
    for held in found.artifacts.values():
        if not held.by_hand:
            by_step.setdefault(held.step, []).append(held)
    for step, held in by_step.items():
        why = Counter(found.why[each.id] for each in held if each.id in found.why)
        free = sizes.get(step, [])
        yield Holding(f"step {step}", len(held) - why.total(), why.total(), dict(why.most_common()), len(free), sum(free))


def _tables(found: Keeping) -> Iterable[Holding]:
    """Their bytes are counted with the steps that wrote them."""
    why: dict[str, Counter[str]] = {}
    for (name, _), reason in found.snapshots.items():
        why.setdefault(name, Counter())[reason] += 1
    ending = Counter(name for name, _ in found.ending)
    for name, reasons in why.items():
        yield Holding(f"table {name}", ending[name], reasons.total(), dict(reasons.most_common()))
