"""Claims of runs on several machines: in the ledger, as good as the lease under which each stands."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator

import pytest

from raypipe.core.admission import Admission
from raypipe.core.claims import Rows
from raypipe.core.errors import TimedOut
from raypipe.core.ledger import Ledger


def quiet(text: str) -> None: ...


class Town:
    """One cluster of two CPUs, and the projects that share it and its ledger."""

    def __init__(self, url: str):
        self.url, self.place = url, uuid.uuid4().hex
        self.ledgers = [Ledger.open(url, f"{name}-{self.place}") for name in ("a", "b")]

    def admission(self, name: str, project: int = 0, ttl_s: float = 30) -> Admission:
        ledger = self.ledgers[project]
        return Admission("the cluster", {"CPU": 2.0}, Rows(ledger, self.place, ledger.claim(name, f"run-{name}", ttl_s)))

    def claims(self) -> list[tuple[str, bool]]:
        ledger = self.ledgers[0]
        return [(claim.who, claim.holds) for claim in Rows(ledger, self.place, ledger.claim(uuid.uuid4().hex, "looks")).claims()]


@pytest.fixture
def town(any_url: str) -> Iterator[Town]:
    made = Town(any_url)
    yield made
    for ledger in made.ledgers:
        ledger.close()


def test_runs_of_several_projects_queue_in_their_order(town: Town):
    order: list[str] = []
    told: list[str] = []

    def work(name: str, cpus: float, project: int) -> None:
        with town.admission(name, project).admitted(name, {"CPU": cpus}, 30, time.sleep, told.append):
            order.append(f"{name} begins")
            time.sleep(0.3)
            order.append(f"{name} ends")

    threads = []
    for name, cpus, project in (("a", 2.0, 0), ("b", 2.0, 1), ("c", 1.0, 0)):
        threads.append(threading.Thread(target=work, args=(name, cpus, project)))
        threads[-1].start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert order == [f"{name} {what}" for name in "abc" for what in ("begins", "ends")]
    assert told[0].startswith("waits for 2 CPUs of the cluster: a (process ")
    assert town.claims() == []


def test_the_deadline_names_who_holds_what(town: Town):
    with (
        town.admission("a").admitted("step 'a' of run 1", {"CPU": 2.0}, 1, time.sleep, quiet),
        pytest.raises(
            TimedOut, match=r"waits for 1 CPU of the cluster: step 'a' of run 1 \(process \d+\) holds 2 CPUs\. Its deadline of 0.2"
        ),
        town.admission("b", 1).admitted("step 'b' of run 1", {"CPU": 1.0}, 0.2, time.sleep, quiet),
    ):
        pass
    assert town.claims() == []


def test_a_claim_ends_with_its_lease(town: Town):
    """Given back, taken over by another, or not renewed."""
    ledger = town.ledgers[0]
    with contextlib.ExitStack() as stack:
        for end in ("given back", "taken over", "not renewed"):
            ttl_s = 0.2 if end != "given back" else 30
            admission = town.admission(end, ttl_s=ttl_s)
            stack.enter_context(admission.admitted(end, {"CPU": 2.0}, 0, time.sleep, quiet))
            assert town.claims() == [(end, True)]
            if end == "given back":
                assert isinstance(admission.book, Rows)
                ledger.release(admission.book.lease)
            else:
                time.sleep(0.25)
            if end == "taken over":
                ledger.claim(end, "another")
            assert town.claims() == []


def test_who_lost_its_lease_while_it_waited_is_let_go(town: Town):
    """What is done then is refused by the lease; here nobody waits for ever."""
    with town.admission("a").admitted("a", {"CPU": 2.0}, 0, time.sleep, quiet):
        lost = town.admission("b", ttl_s=0.2)
        with pytest.raises(TimedOut), lost.admitted("b", {"CPU": 2.0}, 0.5, time.sleep, quiet):
            pass
    with lost.admitted("b", {"CPU": 2.0}, 0.5, time.sleep, quiet):
        assert town.claims() == []


def test_two_clusters_do_not_see_each_other(town: Town, any_url: str):
    other = Town(any_url)
    with (
        town.admission("a").admitted("a", {"CPU": 2.0}, 0, time.sleep, quiet),
        other.admission("a").admitted("a", {"CPU": 2.0}, 0, time.sleep, quiet),
    ):
        assert town.claims() == other.claims() == [("a", True)]
    for ledger in other.ledgers:
        ledger.close()


HOLD = """
import sys, time
from raypipe.core.admission import Admission
from raypipe.core.claims import Rows
from raypipe.core.ledger import Ledger

url, place = sys.argv[1:]
ledger = Ledger.open(url, "other")
lease = ledger.claim(f"step-{place}", "elsewhere", 1.5)
with Admission("the cluster", {"CPU": 2.0}, Rows(ledger, place, lease)).admitted("theirs", {"CPU": 2.0}, None, time.sleep, print):
    print("holds", flush=True)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.3)
        ledger.beat(lease)
"""


def on_another_host(name: str, *command: str) -> list[str]:
    """The command on a machine that goes by that name: a namespace of its own. Skips where this process may make none."""
    words = ["unshare", "--uts", "sh", "-c", f'hostname {name} && exec "$@"', "sh", *command]
    if not shutil.which("unshare") or subprocess.run([*words[:5], "sh", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this process may not be another host (unshare --uts)")
    return words


@pytest.mark.postgres
def test_a_process_on_another_host_counts_until_its_signs_of_life_end(postgres_url: str):
    town = Town(postgres_url)
    command = on_another_host("far-away", sys.executable, "-c", HOLD, postgres_url, town.place)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "holds\n"
        expected = rf"theirs \(process {other.pid} on far-away\) holds 2 CPUs"
        with pytest.raises(TimedOut, match=expected), town.admission("mine").admitted("mine", {"CPU": 1.0}, 2, time.sleep, quiet):
            pass
        other.kill()
    began = time.monotonic()
    with town.admission("mine again").admitted("mine", {"CPU": 1.0}, 10, time.sleep, quiet):
        assert 0.5 < time.monotonic() - began < 5, "from another host a death is seen by the silence"
    for ledger in town.ledgers:
        ledger.close()
