"""What is refused before a SQLite ledger is opened, and the writers' turn."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from raypipe.core import sqlite
from raypipe.core.errors import LedgerError
from raypipe.core.ledger import Ledger

MOUNTS = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
28 27 0:25 / /nfs/share ro,nosuid - nfs4 server:/export rw
29 27 0:26 / /nfs/share\\040two rw shared:7 - fuse.sshfs host:/ rw
30 28 0:27 / /nfs/share/local rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/local/a/ledger.db", "ext4"),
        ("/nfs/share/ledger.db", "nfs4"),
        ("/nfs/share", "nfs4"),
        ("/nfs/shared/ledger.db", "ext4"),
        ("/nfs/share two/x", "fuse.sshfs"),
        ("/nfs/share/local/x", "tmpfs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str):
    assert sqlite.file_system(Path(path), MOUNTS) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "9p", "ceph", "lustre", "fuse.sshfs", "fuse.s3fs"])
def test_a_network_file_system_is_refused_and_postgresql_pointed_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str):
    monkeypatch.setattr(sqlite, "file_system", lambda path: kind)
    with pytest.raises(LedgerError, match=rf"network file system \({kind}\).*postgresql") as caught:
        Ledger.open(f"sqlite:///{tmp_path}/new/ledger.db", "test")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("these are my notes")
    for path, said in (
        (tmp_path / "notes.txt", "is not a SQLite database"),
        (tmp_path, "is a folder"),
        (tmp_path / "notes.txt" / "x", "is a file, not"),
    ):
        with pytest.raises(LedgerError, match=said) as caught:
            Ledger.open(f"sqlite:///{path}", "test")
        assert "\n" not in str(caught.value)
    assert (tmp_path / "notes.txt").read_text() == "these are my notes"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_database_is_one_line(tmp_path: Path):
    (tmp_path / "ledger.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(LedgerError, match=r"^ledger .*ledger\.db: ") as caught:
        Ledger.open(f"sqlite:///{tmp_path}/ledger.db", "test")
    assert "\n" not in str(caught.value)


def test_somebody_elses_database_is_refused(tmp_path: Path):
    with sqlite3.connect(tmp_path / "app.db") as connection:
        connection.execute("create table customers (id integer)")
    connection.close()
    with pytest.raises(LedgerError, match=r"is the database of something else .*'customers'"):
        Ledger.open(f"sqlite:///{tmp_path}/app.db", "test")


def test_a_folder_that_cannot_be_written_is_one_line():
    with pytest.raises(LedgerError, match=r"^ledger /proc/ledger\.db: .*") as caught:
        Ledger.open("sqlite:////proc/ledger.db", "test")
    assert "\n" not in str(caught.value)


def test_a_read_only_disk_is_one_line(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k,ro", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting a disk takes root")
    try:
        with pytest.raises(LedgerError, match=r"is not writable\. RAYPIPE_LEDGER names another place"):
            Ledger.open(f"sqlite:///{disk}/a/b/ledger.db", "test")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_settings_that_keep_it_durable_are_in_force(ledger: Ledger):
    with ledger.reading() as connection:
        found = {
            name: connection.exec_driver_sql(f"pragma {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "query_only")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "query_only": 1}


def test_a_writer_that_never_ends_is_named(tmp_path: Path):
    path = tmp_path / "ledger.db"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom raypipe.core.sqlite import ticket\n"
        "with ticket(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        began = time.monotonic()
        refused = pytest.raises(LedgerError, match=f"process {holder.pid} has held the write lock")
        with refused, sqlite.ticket(path, deadline_s=0.3):
            pass
        assert time.monotonic() - began < 5
        holder.kill()
    with sqlite.ticket(path, deadline_s=5):
        pass


def test_threads_take_turns_as_processes_do(tmp_path: Path):
    inside, most = [], []

    def write() -> None:
        for _ in range(20):
            with sqlite.ticket(tmp_path / "ledger.db"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80
    assert max(most) == 1
