"""A checkpoint is whole or passed over; the newest that verifies is taken."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raypipe.core.store import Store
from raypipe.train.checkpoint import Checkpoint, CheckpointInfo, latest, read, sweep, write


def at(epoch: int, step: int = 0) -> Checkpoint:
    return Checkpoint(epoch, step, 5, {"loss": epoch / 3}, {"model.txt": b"tree %d" % epoch})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path)


MINE = "000002-b"


def found(store: Store) -> CheckpointInfo:
    info = latest(store, "c")
    assert info is not None
    return info


def test_what_was_written_is_read_back(store: Store):
    write(store, "c", MINE, at(3, 120))
    info = found(store)
    assert (info.epoch, info.step, str(info)) == (3, 120, "epoch 3 of 5, step 120")
    assert read(info) == at(3, 120)


def test_there_is_none_before_the_first(store: Store):
    assert latest(store, "c") is None
    sweep(store, "c", MINE)


def test_the_last_two_are_kept(store: Store, tmp_path: Path):
    for step in (5, 10):
        write(store, "c", MINE, at(1, step))
    write(store, "c", MINE, at(2))
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == [f"000001-000000010-{MINE}", f"000002-000000000-{MINE}"]


@pytest.mark.parametrize("harm", ["cut", "flip", "lose", "manifest", "newer"])
def test_one_that_is_not_what_was_written_is_passed_over_with_a_word(store: Store, harm: str):
    write(store, "c", MINE, at(1))
    torn = write(store, "c", MINE, at(2)).path
    model, manifest = torn / "model.txt", torn / "manifest.json"
    if harm == "cut":
        model.write_bytes(model.read_bytes()[:-1])
    elif harm == "flip":
        model.write_bytes(b"tree 9")
    elif harm == "lose":
        model.unlink()
    elif harm == "manifest":
        manifest.write_bytes(manifest.read_bytes()[:40])
    else:
        manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    words: list[str] = []
    info = latest(store, "c", words.append)
    assert info is not None
    assert info.epoch == 1
    assert len(words) == 1
    assert words[0].startswith("checkpoint 000002-000000000-000002-b is passed over: ")


def test_what_was_half_written_is_not_seen_and_swept(store: Store, tmp_path: Path):
    write(store, "c", MINE, at(1))
    half = tmp_path / "c" / ".000002-000000000-000001-a.0a1b2c3d"
    half.mkdir()
    (half / "state.json").write_text("{")
    assert found(store).epoch == 1
    sweep(store, "c", MINE)
    assert not half.exists()


def test_a_new_attempt_goes_on_from_what_an_earlier_one_left_and_keeps_as_much_of_it_as_may_be_needed(store: Store, tmp_path: Path):
    for step in (5, 10):
        write(store, "c", "000001-a", at(1, step))
    write(store, "c", "000001-b", at(1, 10))
    sweep(store, "c", MINE)
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["000001-000000010-000001-a", "000001-000000010-000001-b"]
    assert found(store).step == 10


def test_an_attempt_that_works_on_without_the_lease_harms_no_later_one(store: Store, tmp_path: Path):
    """As the worker of a driver that was stopped does."""
    half = tmp_path / "c" / ".000002-000000000-000002-b.0a1b2c3d"
    write(store, "c", MINE, at(1))
    half.mkdir()
    sweep(store, "c", "000001-a")
    for epoch in (1, 2, 3):
        write(store, "c", "000001-a", at(epoch))
    assert half.exists()
    assert (tmp_path / "c" / f"000001-000000000-{MINE}").exists()
    write(store, "c", MINE, at(2))
    assert sum(p.name.endswith(MINE) for p in (tmp_path / "c").iterdir()) == 2


def test_attempts_that_write_side_by_side_do_not_meet(store: Store, tmp_path: Path):
    def work(attempt: str) -> None:
        for epoch in range(100):
            write(store, "c", attempt, at(epoch))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, ("000001-a", MINE)))
    assert len(list((tmp_path / "c").iterdir())) == 4
    assert found(store).epoch == 99


def test_writing_one_again_replaces_it(store: Store):
    first = write(store, "c", MINE, at(1)).path
    (first / "model.txt").write_bytes(b"torn")
    write(store, "c", MINE, at(1))
    assert read(found(store)) == at(1)


LOOK = """
import sys
from raypipe.core.store import Store
from raypipe.train.checkpoint import latest

latest(Store.open(sys.argv[1]), "c")
sys.exit(" ".join(m for m in ("torch", "ray", "lightgbm", "numpy", "pyarrow") if m in sys.modules))
"""


def test_looking_for_one_imports_neither_torch_nor_ray(tmp_path: Path):
    assert subprocess.run([sys.executable, "-c", LOOK, str(tmp_path)], check=False, capture_output=True).stderr.strip() == b""
