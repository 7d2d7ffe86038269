"""A checkpoint is whole or passed over, in a folder and in an object store; the newest that verifies is taken."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raypipe.core import object_store
from raypipe.core.errors import StoreError
from raypipe.core.store import Store, is_remote
from raypipe.train.checkpoint import Checkpoint, CheckpointInfo, latest, read, sweep, write


def at(epoch: int, step: int = 0) -> Checkpoint:
    return Checkpoint(epoch, step, 5, {"loss": epoch / 3}, {"model.txt": b"tree %d" % epoch})


@pytest.fixture
def store(any_store: Store) -> Store:
    return any_store


MINE = "000002-b"


def found(store: Store) -> CheckpointInfo:
    info = latest(store, "c")
    assert info is not None
    return info


def test_what_was_written_is_read_back(store: Store):
    write(store, "c", MINE, at(3, 120))
    info = found(store)
    assert (info.epoch, info.step, str(info)) == (3, 120, "epoch 3 of 5, step 120")
    assert read(store, info) == at(3, 120)


def test_there_is_none_before_the_first(store: Store):
    assert latest(store, "c") is None
    sweep(store, "c", MINE)


def test_the_last_two_are_kept(store: Store):
    for step in (5, 10):
        write(store, "c", MINE, at(1, step))
    write(store, "c", MINE, at(2))
    assert sorted(store.folders("c")) == [f"000001-000000010-{MINE}", f"000002-000000000-{MINE}"]


@pytest.mark.parametrize("harm", ["cut", "flip", "lose", "manifest", "newer"])
def test_one_that_is_not_what_was_written_is_passed_over_with_a_word(store: Store, harm: str):
    write(store, "c", MINE, at(1))
    torn = write(store, "c", MINE, at(2)).path
    model, manifest = f"{torn}/model.txt", f"{torn}/manifest.json"
    if harm == "cut":
        store.write(model, store.read(model)[:-1])
    elif harm == "flip":
        store.write(model, b"tree 9")
    elif harm == "lose":
        store.remove(model)
    elif harm == "manifest":
        store.write(manifest, store.read(manifest)[:40])
    else:
        store.write(manifest, store.read(manifest).replace(b'"format": 1', b'"format": 2'))
    words: list[str] = []
    info = latest(store, "c", words.append)
    assert info is not None
    assert info.epoch == 1
    assert len(words) == 1
    assert words[0].startswith("checkpoint 000002-000000000-000002-b is passed over: ")


def test_what_changes_after_it_was_found_is_not_taken(store: Store):
    info = write(store, "c", MINE, at(1))
    store.write(f"{info.path}/model.txt", b"tree 9")
    with pytest.raises(StoreError, match="not what was recorded"):
        read(store, info)


def halved(store: Store, attempt: str) -> str:
    """A folder of what a kill in the middle of writing the second epoch leaves."""
    name = f"000002-000000000-{attempt}"
    half = name if is_remote(store.root) else f".{name}.0a1b2c3d"
    store.write(f"c/{half}/state.json", b"{")
    return half


def test_what_was_half_written_is_not_seen_and_swept(store: Store):
    write(store, "c", MINE, at(1))
    half, words = halved(store, "000001-a"), []
    info = latest(store, "c", words.append)
    assert (info and info.epoch, words) == (1, [])
    sweep(store, "c", MINE)
    assert half not in store.folders("c")


def test_what_was_half_written_is_not_kept_for_what_is_whole(store: Store):
    write(store, "c", "000001-a", at(1))
    for attempt in ("000001-b", "000001-c"):
        halved(store, attempt)
    sweep(store, "c", MINE)
    assert list(store.folders("c")) == ["000001-000000000-000001-a"]


def test_a_new_attempt_goes_on_from_what_an_earlier_one_left_and_keeps_as_much_of_it_as_may_be_needed(store: Store):
    for step in (5, 10):
        write(store, "c", "000001-a", at(1, step))
    write(store, "c", "000001-b", at(1, 10))
    sweep(store, "c", MINE)
    assert sorted(store.folders("c")) == ["000001-000000010-000001-a", "000001-000000010-000001-b"]
    assert found(store).step == 10


def test_an_attempt_that_works_on_without_the_lease_harms_no_later_one(store: Store):
    """As the worker of a driver that was stopped does."""
    write(store, "c", MINE, at(1))
    half = halved(store, MINE)
    sweep(store, "c", "000001-a")
    for epoch in (1, 2, 3):
        write(store, "c", "000001-a", at(epoch))
    assert {half, f"000001-000000000-{MINE}"} <= store.folders("c").keys()
    write(store, "c", MINE, at(2))
    assert sum(name.endswith(MINE) for name in store.folders("c")) == 2


def test_attempts_that_write_side_by_side_do_not_meet(store: Store):
    num_epochs = 6 if is_remote(store.root) else 100

    def work(attempt: str) -> None:
        for epoch in range(num_epochs):
            write(store, "c", attempt, at(epoch))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, ("000001-a", MINE)))
    assert len(store.folders("c")) == 4
    assert found(store).epoch == num_epochs - 1


def test_writing_one_again_replaces_it(store: Store):
    first = write(store, "c", MINE, at(1)).path
    store.write(f"{first}/model.txt", b"torn")
    write(store, "c", MINE, at(1))
    assert read(store, found(store)) == at(1)


@pytest.mark.parametrize("name", ["model.txt", "state.json", "manifest.json"])
def test_one_that_cannot_be_written_to_its_end_leaves_nothing(bucket: str, monkeypatch: pytest.MonkeyPatch, name: str):
    store, real = Store.open(bucket), Store.write
    write(store, "c", MINE, at(1))

    def full(self: Store, path: str, data: bytes):
        if path.endswith(name):
            raise StoreError(f"{path}: cannot be written")
        return real(self, path, data)

    monkeypatch.setattr(Store, "write", full)
    with pytest.raises(StoreError, match=f"{name}: cannot be written"):
        write(store, "c", MINE, at(2))
    assert list(store.folders("c")) == [f"000001-000000000-{MINE}"]


@pytest.mark.parametrize("call", ["read", "folders"])
def test_an_object_store_that_does_not_answer_is_no_reason_to_begin_anew(bucket: str, monkeypatch: pytest.MonkeyPatch, call: str):
    store = Store.open(bucket)
    write(store, "c", MINE, at(1))

    def gone(*_):
        raise OSError("When reading information for key: AWS Error NETWORK_CONNECTION")

    monkeypatch.setattr(object_store, call, gone)
    with pytest.raises(StoreError, match="NETWORK_CONNECTION"):
        latest(store, "c")


LOOK = """
import sys
from raypipe.core.store import Store
from raypipe.train.checkpoint import latest

latest(Store.open(sys.argv[1]), "c")
sys.exit(" ".join(m for m in ("torch", "ray", "lightgbm", "numpy", "pyarrow") if m in sys.modules))
"""


def test_looking_for_one_imports_neither_torch_nor_ray(tmp_path: Path):
    assert subprocess.run([sys.executable, "-c", LOOK, str(tmp_path)], check=False, capture_output=True).stderr.strip() == b""
