"""Claims of runs on several machines that share a cluster: rows of the ledger, each as good as the lease under which its step is made.

A claim has no sign of life of its own: it is void once its lease was given back, claimed by another, or not renewed for its time to live.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Boolean, Column, Connection, Double, MetaData, Row, Table, Text, delete, select, text, update

from raypipe.core.admission import Amounts, Claim, Judge
from raypipe.core.errors import LedgerError
from raypipe.core.lease import Lease, Owner, is_alive
from raypipe.core.ledger import Ledger, again
from raypipe.core.schema import JsonText, leases

if TYPE_CHECKING:
    from typing import Any

POLL_S = 0.3
LOCK = 7277392

# Of the moment, and so no part of what a ledger keeps, exports and counts the versions of: made by whoever needs it first.
table = Table(
    "raypipe_claims",
    MetaData(),
    Column("place", Text, primary_key=True),
    Column("project", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("amounts", JsonText, nullable=False),
    Column("holds", Boolean, nullable=False),
    Column("since", Double, nullable=False),
)


class Rows:
    """The claims on one place, a cluster, in the ledger; this process's own stands under a lease of its."""

    poll_s = POLL_S

    def __init__(self, ledger: Ledger, place: str, lease: Lease):
        self.ledger, self.place, self.lease = ledger, place, lease
        self._mine = (table.c.place == place, table.c.project == ledger.project, table.c.key == lease.key)

    @contextlib.contextmanager
    def entered(self, who: str, needs: Amounts) -> Iterator[Callable[[Judge], Sequence[Claim]]]:
        again(self._enter)(who, needs)
        try:
            yield again(self._look)
        finally:
            with contextlib.suppress(LedgerError):  # the lease's end makes it void as well
                self._leave()

    def claims(self) -> list[Claim]:
        """Those that stand, the oldest first."""
        with self.ledger.writing() as connection:
            self._lock(connection)
            table.create(connection, checkfirst=True)
            return [_claim(row) for row in self._standing(connection)]

    def _enter(self, who: str, needs: Amounts) -> None:
        with self.ledger.writing() as connection:
            self._lock(connection)
            table.create(connection, checkfirst=True)
            connection.execute(delete(table).where(*self._mine))
            own = {"project": self.ledger.project, "key": self.lease.key, "token": self.lease.token}
            said = {"who": who, "amounts": dict(needs), "holds": False, "since": self.ledger.now(connection)}
            connection.execute(table.insert().values(place=self.place, **own, **said))

    def _look(self, judge: Judge) -> Sequence[Claim]:
        with self.ledger.writing() as connection:
            self._lock(connection)
            rows = self._standing(connection)
            own = next((row for row in rows if (row.project, row.key) == (self.ledger.project, self.lease.key)), None)
            own_place = rows.index(own) if own is not None else len(rows)
            before = [_claim(row) for place, row in enumerate(rows) if row is not own and (row.holds or place < own_place)]
            if judge(before):
                connection.execute(update(table).where(*self._mine).values(holds=True))
            return before

    def _leave(self) -> None:
        with self.ledger.writing() as connection:
            connection.execute(delete(table).where(*self._mine, table.c.token == self.lease.token))

    def _standing(self, connection: Connection) -> list[Row[Any]]:
        """With the leases that they stand under, the oldest first; those that are void go."""
        now, standing = self.ledger.now(connection), []
        query = select(table, leases.c.owner, leases.c.ttl_s, leases.c.claimed_at, leases.c.beaten_at, leases.c.released_at)
        under = (leases.c.project == table.c.project) & (leases.c.key == table.c.key) & (leases.c.token == table.c.token)
        for row in connection.execute(query.outerjoin_from(table, leases, under).where(table.c.place == self.place)).all():
            if is_alive(row, now, self.ledger.one_host):
                standing.append(row)
            else:
                one = (table.c.project == row.project, table.c.key == row.key, table.c.token == row.token)
                connection.execute(delete(table).where(table.c.place == self.place, *one))
        return sorted(standing, key=lambda row: (row.since, row.project, row.key))

    def _lock(self, connection: Connection) -> None:
        """One at a time looks at the claims of a ledger. SQLite's transaction is that lock already."""
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"select pg_advisory_xact_lock({LOCK})"))


def _claim(row: Row[Any]) -> Claim:
    owner, here = Owner(**row.owner), Owner.here()
    is_here = (owner.host, owner.boot, owner.pids) == (here.host, here.boot, here.pids)
    return Claim(row.who, row.amounts, row.holds, row.since, owner.pid, "" if is_here else owner.host)
