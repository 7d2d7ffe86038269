"""The commit protocol as a simulation: raypipe's own ledger, leases, store and collection, in processes that one seed makes take turns.

Each process is a thread that goes on only when it is its turn; it gives it up at every transaction and at every call of the disk. In
between it may be stopped beyond its lease, killed, or lose its connection before or after a commit; the clock may jump, and the power
may be cut. What the ledger says is held against the rules after every commit.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import threading
import types
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raypipe.core import lease as leases
from raypipe.core import ledger as ledgers
from raypipe.core import store as stores
from raypipe.core.errors import Fenced, LeaseHeld, LedgerError, LedgerLost, StoreError
from raypipe.core.lease import Heartbeat, Lease, Owner
from raypipe.core.ledger import Ledger, Record, Run
from raypipe.core.step import Look
from raypipe.core.store import Store
from raypipe.data.lake.gc import gc
from raypipe.pipeline import attempt as attempts
from tests.chaos.disk import Disk
from tests.chaos.driver import register
from tests.chaos.memory import Memory
from tests.chaos.rules import Process, Rules, Violation

TTL_S = 30.0
KEYS = ("step-0", "step-1")
NUM_STEPS = 500
"""Turns that are given in one schedule, at most."""
NUM_PROCESSES = 6
"""That are started in one schedule, in place of those that died."""
FIRST_PID = 1000


class Crash(BaseException):
    """The process is dead: whatever it still calls raises this."""


class Actor:
    """A thread of a simulated process."""

    def __init__(self, process: Process, work: Callable[[], None]):
        self.process, self.wakes_at, self.is_over = process, 0.0, False
        self.error: BaseException | None = None
        self._work = work
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def turn(self) -> None:
        """Lets it go on to the next place where it gives up its turn."""
        self._go.release()
        self._back.acquire()

    def give_up(self) -> None:
        self._back.release()
        self._go.acquire()

    def _run(self) -> None:
        self._go.acquire()
        try:
            if self.process.is_alive:
                self._work()
        except Crash:
            pass
        except BaseException as error:
            self.error = error
        self.is_over = True
        self._back.release()


class Simulation:
    """One schedule: what happens follows from the seed alone."""

    def __init__(self, seed: int, folder: Path, memory: Memory):
        self.chance = random.Random(seed)
        self.monotonic, self.wall = 1000.0, 1_700_000_000.0
        self.faults = True
        self.processes: list[Process] = []
        self.actors: list[Actor] = []
        self.current: Actor | None = None
        self.one_host = self.chance.random() < 0.4
        self.boots = {"a": 0, "b": 0}
        self.disk = Disk(folder, self.at, lambda: self.current is not None and not self.current.process.is_alive)
        self.database = memory.database(self, folder / "ledger.db" if self.one_host else None)
        self.ledger, self.store = Ledger("sqlite://", "chaos", self.database), Store(str(folder))
        self.rules = Rules(memory.raw, self.disk, lambda: self.monotonic, TTL_S)
        self.keys = KEYS[: self.chance.choice((1, 1, 2))]
        self._unwell = self.chance.choice((0.0, 0.02, 0.06))
        self._stops = self.chance.choice((0.02, 0.06))
        self._pace_s = self.chance.choice((0.2, 1.0, 4.0))
        """How long a turn takes, on average: work is done well within a lease, or takes several."""

    # what simulated code calls

    def at(self, what: str) -> None:
        """A place where others may get their turn, or this process its end."""
        if self.current is not None:
            if what == "begin" and self.faults and self.chance.random() < self._stops:
                self.stop(self.current.process)
            self.sleep(0.0)

    def sleep(self, seconds: float) -> None:
        actor = self.current
        if actor is None:
            self.pass_(seconds)
            return
        if actor.process.is_alive:
            actor.wakes_at = self.monotonic + seconds
            actor.give_up()
        if not actor.process.is_alive:
            raise Crash

    def lose(self, when: str) -> None:
        """The connection to the ledger may be lost here, or the process may be killed."""
        if self.current is None or not self.faults:
            return
        if self.chance.random() < self._unwell:
            raise LedgerLost(f"ledger: the connection was lost {when} a commit.")
        if self.chance.random() < self._unwell:
            self.kill(self.current.process)
            raise Crash

    def committed(self) -> None:
        process = self.current.process if self.current else None
        self.rules.hold(process)
        self.lose("after")
        self.at("committed")

    # what goes on

    def go(self) -> None:
        """Ends when every key is made and nobody is left, or when its turns are over; then a last process is left in peace."""
        for _ in range(3):
            self.spawn()
        for _ in range(NUM_STEPS):
            if not any(not actor.is_over for actor in self.actors):
                break
            self._happen()
            self._next_turn()
        self._finish()

    def spawn(self, work: Callable[[Process], None] | None = None, host: str = "") -> Process:
        number = len(self.processes)
        host = host or ("a" if self.one_host else self.chance.choice("ab"))
        boot = f"{host}{self.boots.setdefault(host, 0)}"
        process = Process(f"run-{number}", Owner(host, boot, 0, FIRST_PID + number, str(number)))
        self.processes.append(process)
        self.rules.processes[process.run] = process
        self.start(process, lambda: (work or self._live)(process))
        return process

    def start(self, process: Process, work: Callable[[], None]) -> None:
        self.actors.append(Actor(process, work))

    def stop(self, process: Process) -> None:
        """As by SIGSTOP, often for longer than a lease lasts."""
        process.stopped_until = self.monotonic + self.chance.uniform(0, 4 * TTL_S)

    def kill(self, process: Process) -> None:
        process.is_alive = False

    def pass_(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds

    def _happen(self) -> None:
        """What befalls processes from outside."""
        alive = [process for process in self.processes if process.is_alive]
        if alive and self.chance.random() < self._stops:
            self.stop(self.chance.choice(alive))
        what = self.chance.random()
        if what < 0.015 and alive:
            self.kill(self.chance.choice(alive))
        elif what < 0.02:
            self.cut()
        elif what < 0.03:
            self.wall += self.chance.uniform(-2, 2) * TTL_S
            self.rules.jumped()
        elif what < 0.10 and len(self.processes) < NUM_PROCESSES:
            self.spawn(self._collect if self.chance.random() < 0.3 else None)

    def cut(self) -> None:
        """Of all hosts."""
        for process in self.processes:
            self.kill(process)
        self._bury()
        self.disk.cut()
        self.boots = {host: number + 1 for host, number in self.boots.items()}
        self.rules.hold(None)

    def _next_turn(self) -> None:
        self._bury()
        ready = [a for a in self.actors if max(a.wakes_at, a.process.stopped_until) <= self.monotonic]
        if ready:
            self._turn(self.chance.choice(ready))
            self.pass_(self.chance.expovariate(1 / self._pace_s))
        elif self.actors:
            self.pass_(min(max(a.wakes_at, a.process.stopped_until) for a in self.actors) - self.monotonic + 0.001)
        elif self.faults and len(self.processes) < NUM_PROCESSES:
            self.spawn()

    def _turn(self, actor: Actor) -> None:
        self.current = actor
        actor.turn()
        self.current = None
        if actor.error is not None:
            raise actor.error

    def _bury(self) -> None:
        for actor in self.actors:
            while not actor.process.is_alive and not actor.is_over:
                self._turn(actor)
        self.actors = [actor for actor in self.actors if not actor.is_over]

    def _finish(self) -> None:
        """The others are gone; a process elsewhere finds nothing that keeps it from making what is left."""
        for process in self.processes:
            self.kill(process)
        self._bury()
        self.faults = False
        self.wall += self.chance.choice((5, -1000)) * TTL_S  # farther than any jump before
        self.monotonic += 5 * TTL_S
        last = self.spawn(host="c")
        for _ in range(NUM_STEPS):
            self._next_turn()
            if last.waited:
                raise Violation(f"nobody was alive, and a lease was held: {last.waited}")
            if not self.actors:
                break
        else:
            raise Violation("a process that nothing disturbed did not end")
        self.disk.cut()
        self.rules.end(self.store, self.ledger, self.keys)

    def end(self) -> None:
        """Threads that are left are ended, whatever went wrong."""
        for process in self.processes:
            process.is_alive = False
        with contextlib.suppress(BaseException):
            self._bury()

    # what processes do

    def _live(self, process: Process) -> None:
        """As a run does it, step after step."""
        self._patiently(lambda: self.ledger.start_run(Run(process.run, "chaos")))
        for key in self.keys:
            while not self._made(process, key):
                pass

    def _patiently(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(LedgerError):
            call()

    def _made(self, process: Process, key: str) -> bool:
        try:
            if self.chance.random() < 0.8 and self.ledger.find(key) is not None:
                return True
            with attempts.leased(self.ledger, key, process.run) as (lease, heart):
                if lease.made and self.chance.random() < 0.5:
                    return True
                try:
                    self._attempt(process, key, lease, heart)
                except Fenced:
                    self.rules.not_published(process, key, lease.token)
                    raise
                except LedgerError as error:
                    if "was not published" in str(error):
                        self.rules.not_published(process, key, lease.token)
                    raise
                except StoreError as error:
                    self.rules.lost_bytes(lease, error)
                    heart.beat()
                    heart.check()
            return True
        except LeaseHeld as held:
            process.waited = str(held)
            self.sleep(self.chance.uniform(1, 10))
        except Fenced:
            process.num_fenced += 1
        except LedgerError:
            self.sleep(1.0)
        return False

    def _attempt(self, process: Process, key: str, lease: Lease, heart: Heartbeat) -> None:
        look = Look("chaos", Path(), "chaos", key, self.ledger, self.store)
        work = attempts.work_under(lease, heart, look, process.run)
        files = tuple(self.store.write(f"{work.path}/{n}.bin", f"{key} {process.run} {lease.token} {n}".encode()) for n in range(2))
        heart.check()
        self.store.sync(work.path)
        record = Record("Model", "chaos", key, process.run, key, f"of {key}", work.path, files)
        artifact = self.ledger.publish(lease, record, [register(self.ledger, key)])
        heart.given_back = True
        self.rules.acknowledged(artifact.id)

    def _collect(self, process: Process) -> None:
        for _ in range(3):
            self._patiently(lambda: gc(self.ledger, self.store, grace_s=0))
            self.sleep(self.chance.uniform(0, TTL_S))


class _Stopped:
    """Stands in for the event that ends a heartbeat: waiting for it is a simulated sleep."""

    def __init__(self, simulation: Simulation):
        self._simulation, self._is_set = simulation, False

    def set(self) -> None:
        self._is_set = True

    def wait(self, seconds: float) -> bool:
        self._simulation.sleep(seconds)
        return self._is_set


@contextlib.contextmanager
def installed(simulation: Simulation) -> Iterator[pytest.MonkeyPatch]:
    """raypipe's code sees the simulation's disk, clocks and processes."""

    class Beating(Heartbeat):
        """Its thread is an actor of the process that holds the lease."""

        def __init__(self, ledger: Ledger, lease: Lease):
            super().__init__(ledger, lease, lambda: simulation.monotonic)
            self._stopped = _Stopped(simulation)  # pyright: ignore[reportAttributeAccessIssue]

        def __enter__(self) -> Beating:
            assert simulation.current
            simulation.start(simulation.current.process, self._run)
            return self

        def __exit__(self, *_: object) -> None:
            self._stopped.set()

        def beat(self) -> None:
            super().beat()
            if self._lost is None:
                simulation.rules.beaten(self._lease, self._last)

    def here(_: Any) -> Owner:
        return simulation.current.process.owner if simulation.current else Owner("outside", "", 0, 1, "")

    def started(pid: int) -> str | None:
        process = simulation.processes[pid - FIRST_PID]
        return process.owner.started if process.is_alive else None

    ids = random.Random(simulation.chance.random())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=ids.getrandbits(128)))
        patch.setattr(stores, "os", simulation.disk)
        patch.setattr(Owner, "here", classmethod(here))
        patch.setattr(leases, "_started", started)
        patch.setattr(ledgers, "time", types.SimpleNamespace(monotonic=lambda: simulation.monotonic, sleep=simulation.sleep))
        patch.setattr(attempts, "Heartbeat", Beating)
        yield patch


def simulate(seed: int, folder: Path, memory: Memory, bug: Callable[[pytest.MonkeyPatch], None] | None = None) -> Simulation:
    """Runs one schedule to its end. What it finds wrong is raised with the seed that shows it again."""
    folder.mkdir()
    memory.fill()
    simulation = Simulation(seed, folder, memory)
    with installed(simulation) as patch:
        if bug is not None:
            bug(patch)
        try:
            simulation.go()
        except Exception as error:
            raise Violation(f"seed {seed}: {type(error).__name__}: {error}") from error
        finally:
            simulation.end()
            shutil.rmtree(folder)
    return simulation
