"""Bytes in, the same bytes out, and nothing outside the root."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raypipe.core.artifact import File
from raypipe.core.errors import StoreError
from raypipe.core.store import Store


def test_what_is_written_is_recorded_and_read_back(store: Store):
    file = store.write("runs/a/part-0.bin", b"hello")
    assert file == File("runs/a/part-0.bin", 5, hashlib.sha256(b"hello").hexdigest())
    assert store.read(file) == store.read("runs/a/part-0.bin") == b"hello"
    assert store.holds(file)
    assert store.size() == (1, 5)


def test_a_stream_takes_what_libraries_write_piece_by_piece(store: Store):
    table = pa.table({"x": list(range(10_000))})
    with store.create("t.parquet") as writer:
        pq.write_table(table, writer)
    assert writer.file.sha256 == hashlib.sha256(store.read("t.parquet")).hexdigest()
    assert pq.read_table(store.local("t.parquet")).equals(table)


def test_a_file_appears_only_when_it_is_complete(store: Store):
    def write_and_fail():
        with store.create("a/b.bin") as writer:
            writer.write(b"half")
            assert not os.path.exists(store.locate("a/b.bin"))
            raise RuntimeError("the step died")

    with pytest.raises(RuntimeError, match="the step died"):
        write_and_fail()
    assert store.size() == (0, 0)


def test_an_error_of_the_writers_own_is_not_called_the_stores(store: Store):
    with pytest.raises(FileNotFoundError), store.create("a.bin"):
        Path("/nowhere/to/be/found").read_bytes()


def test_a_second_try_replaces_the_whole_file(store: Store):
    store.write("a.bin", b"first and longer")
    assert store.read(store.write("a.bin", b"second")) == b"second"


def test_a_librarys_file_is_adopted_with_its_digest(store: Store):
    path = store.local("model/model.txt")
    path.parent.mkdir()
    path.write_bytes(b"tree" * 1_000_000)
    file = store.adopt("model/model.txt")
    assert (file.size, file.sha256) == (4_000_000, hashlib.sha256(b"tree" * 1_000_000).hexdigest())
    with pytest.raises(StoreError, match="model/other: not in the store"):
        store.adopt("model/other")


def test_changed_bytes_are_noticed_when_they_are_read(store: Store):
    file = store.write("a.bin", b"hello")
    store.local("a.bin").write_bytes(b"hallo")
    assert store.holds(file)
    with pytest.raises(StoreError, match=r"a\.bin: the bytes in the store are not what was recorded"):
        store.read(file)
    store.local("a.bin").write_bytes(b"hall")
    assert not store.holds(file)
    store.local("a.bin").unlink()
    assert not store.holds(file)
    with pytest.raises(StoreError, match=r"a\.bin: not in the store"):
        store.read(file)


BAD = ["", "/etc/passwd", "..", "../a", "a/../../b", "a/./b", "a//b", "a/", ".", "a\\b", "a\0b"]


@pytest.mark.parametrize("path", BAD)
def test_a_path_that_is_not_plain_and_relative_is_refused(store: Store, path: str):
    for act in (store.locate, store.local, store.read, store.adopt, lambda path: store.write(path, b"x")):
        with pytest.raises(StoreError, match="relative and plain"):
            act(path)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(path=st.text(st.sampled_from("a.%/\\#?\0~é∕．ﬀ "), max_size=12))
def test_no_name_leads_out_of_the_root(store: Store, path: str):
    try:
        full = store.locate(path)
    except StoreError:
        return
    assert os.path.realpath(full).startswith(store.root + "/")


def test_symbolic_links_do_not_lead_out(store: Store, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("s")
    os.symlink(outside, os.path.join(store.root, "link"))
    os.symlink(outside / "secret", os.path.join(store.root, "file"))
    for path in ("link/secret", "link/new", "file"):
        with pytest.raises(StoreError, match="symbolic link"):
            store.write(path, b"x")
        with pytest.raises(StoreError, match="symbolic link"):
            store.read(path)
    assert (outside / "secret").read_text() == "s"


def test_the_root_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert Store.open("a/b").root == str(tmp_path / "a" / "b")
    assert Store.open(f"file://{tmp_path}/c").root == str(tmp_path / "c")


def test_a_root_that_cannot_be_written_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/store")):
        with pytest.raises(StoreError, match=r"^store .*: the folder (cannot be made|is not writable).*RAYPIPE_STORE") as caught:
            Store.open(root)
        assert "\n" not in str(caught.value)


def test_a_disk_that_is_full_is_one_line_and_leaves_nothing(tmp_path: Path):
    small = tmp_path / "small"
    small.mkdir()
    if os.getuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(small)], capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root")
    try:
        store = Store.open(small)
        with pytest.raises(StoreError, match=r"a\.bin: cannot be written: no space left on device\. Free some space"):
            store.write("a.bin", os.urandom(1_000_000))
        assert store.size() == (0, 0)
        store.write("b.bin", b"fits")
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_sync_reaches_every_folder_and_the_root(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.write("runs/a/code/x.py", b"x")
    store.write("runs/a/m.bin", b"x")
    synced = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *rest, **more: synced.append(str(path)) or real(path, *rest, **more))
    store.sync("runs/a")
    assert [path.removeprefix(store.root) for path in synced] == ["/runs/a", "/runs/a/code", "/runs", ""]


@pytest.mark.parametrize("folder", ["", "runs", "runs/a"])
def test_a_folder_whose_sync_fails_fails_all_of_it(folder: str, store: Store, monkeypatch: pytest.MonkeyPatch):
    store.write("runs/a/m.bin", b"x")
    failing, real = os.stat(os.path.join(store.root, folder)).st_ino, os.fsync

    def fsync(descriptor: int) -> None:
        if os.fstat(descriptor).st_ino == failing:
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError, match=r"^runs/a: cannot be synced: input/output error\.$"):
        store.sync("runs/a")


def test_an_object_store_needs_no_other_call(tmp_path: Path):
    (tmp_path / "bucket").mkdir()
    store = Store.open("mock://bucket/prefix")
    assert store.locate("a/b") == "mock://bucket/prefix/a/b"
    with pytest.raises(StoreError, match="needs a file on disk"):
        store.local("a/b")
    with pytest.raises(StoreError, match="relative and plain"):
        store.read("../b")
    with pytest.raises(StoreError, match="credentials in the environment"):
        Store.open("s3://key:secret@bucket/prefix")
    with pytest.raises(StoreError, match=r"^store gopher://x"):
        Store.open("gopher://x")


def test_a_folder_is_replaced_as_a_whole(any_store: Store):
    any_store.write_folder("a/b", {"1.txt": b"one", "mark": b"whole"})
    any_store.write_folder("a/b", {"2.txt": b"two", "mark": b"again"})
    assert "mark" in any_store.folders("a")["b"]
    assert (any_store.read("a/b/2.txt"), any_store.read("a/b/mark")) == (b"two", b"again")
    any_store.remove_folder("a/b")
    any_store.remove_folder("a/b")
    assert any_store.folders("a") == {}
    assert any_store.folders("c") == {}


def test_folders_are_named_with_their_files(any_store: Store):
    any_store.write("a/b/1.txt", b"one")
    any_store.write("a/b/2.txt", b"two")
    any_store.write("a/b-c/3.txt", b"three")
    any_store.write("a/4.txt", b"four")
    assert any_store.folders("a") == {"b": {"1.txt", "2.txt"}, "b-c": {"3.txt"}}
    any_store.remove_folder("a/b")
    assert any_store.folders("a") == {"b-c": {"3.txt"}}


def test_a_folder_that_cannot_be_written_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.write_folder("a/b", {"mark": b"whole"})
    monkeypatch.setattr(os, "rename", _full)
    with pytest.raises(StoreError, match=r"^a/c: cannot be written: no space left on device\. Free some space"):
        store.write_folder("a/c", {"1.txt": b"one", "mark": b"whole"})
    assert list(store.folders("a")) == ["b"]


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_files_are_listed_and_removed_with_the_folders_that_are_empty_then(tmp_path):
    store = Store.open(tmp_path / "store")
    store.write("a/b/1.txt", b"one")
    store.write("a/2.txt", b"two!")
    assert sorted((path, size) for path, size, _ in store.files()) == [("a/2.txt", 4), ("a/b/1.txt", 3)]
    store.remove("a/b/1.txt")
    store.remove("a/b/1.txt")
    assert [path for path, _, _ in store.files()] == ["a/2.txt"]
    assert not (tmp_path / "store" / "a" / "b").exists()
    store.remove("a/2.txt")
    assert (tmp_path / "store").exists()
    assert list(store.files()) == []
    with pytest.raises(StoreError, match="relative and plain"):
        store.remove("../ledger.db")
