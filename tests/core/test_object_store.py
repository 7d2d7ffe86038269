"""The store's calls where it is an object store: moto's S3 server."""

import pytest

from raypipe.core import object_store
from raypipe.core.artifact import File
from raypipe.core.errors import StoreError
from raypipe.core.store import Store
from raypipe.core.transient import is_transient


@pytest.fixture
def store(bucket: str) -> Store:
    return Store.open(f"{bucket}/prefix")


def test_what_was_written_is_read_back_listed_and_removed(store: Store):
    file = store.write("a/b.bin", b"hello")
    store.sync("a")
    assert store.read(file) == b"hello"
    assert store.holds(file)
    assert store.size() == (1, 5)
    with pytest.raises(StoreError, match="not what was recorded"):
        store.read(File("a/b.bin", 5, "0" * 64))
    store.remove("a/b.bin")
    store.remove("a/b.bin")
    assert not store.holds(file)
    with pytest.raises(StoreError, match=r"^a/b\.bin: not in the store$"):
        store.read(file)


def test_a_file_whose_writer_failed_is_not_there(store: Store):
    def write_and_fail():
        with store.create("a/c.bin") as writer:
            writer.write(b"half")
            raise RuntimeError("the step died")

    with pytest.raises(RuntimeError, match="the step died"):
        write_and_fail()
    assert not store.holds(File("a/c.bin", 4, ""))


def test_a_bucket_that_is_not_there_is_told_in_a_line(bucket: str):
    with pytest.raises(StoreError, match=r"^a\.bin: cannot be written: .*NO_SUCH_BUCKET"):
        Store.open(f"{bucket}-not/prefix").write("a.bin", b"x")


@pytest.mark.parametrize(("call", "told"), [("size", "a.bin: cannot be looked up"), ("files", "store: cannot be listed")])
def test_one_that_does_not_answer_is_told_in_a_line(store: Store, monkeypatch: pytest.MonkeyPatch, call: str, told: str):
    def gone(*_: object) -> None:
        raise OSError("AWS Error NETWORK_CONNECTION")

    monkeypatch.setattr(object_store, call, gone)
    with pytest.raises(StoreError, match=f"^{told}: AWS Error NETWORK_CONNECTION") as raised:
        store.holds(File("a.bin", 1, "")) if call == "size" else list(store.files())
    assert is_transient(raised.value)


def test_a_root_that_is_none_is_refused_when_it_is_opened():
    with pytest.raises(ValueError, match="gopher"):
        object_store.filesystem("gopher://x")


def test_a_small_file_is_one_request(store: Store, caplog: pytest.LogCaptureFixture):
    """Each costs a round trip: folders above it, and a beginning and an end of its parts, would make ten of it."""
    with caplog.at_level("INFO", "werkzeug"):
        store.write("a/b/c/d.bin", b"hello")
    asked = [record.getMessage().split('"')[1] for record in caplog.records]
    assert asked == [f"PUT /{store.root.removeprefix('s3://')}/a/b/c/d.bin HTTP/1.1"]
