"""Images and files of any kind: a row each; a broken image is told by name."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.core.step import Look
from raypipe.data.fragment.fragment import read_fragment, write_fragment
from raypipe.data.source.binary import Binary
from raypipe.data.source.images import Images
from raypipe.data.source.location import Location
from raypipe.data.source.piece import NOTHING

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def png(pixels: np.ndarray = PIXELS, format="PNG", mode=None):
    sink = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(sink, format)
    return sink.getvalue()


def read(tmp_path, data, **settings):
    (tmp_path / "a.png").write_bytes(data)
    (rows,) = Images("a.png", **settings).read(Location(str(tmp_path / "a.png"), "data/a.png"), {})
    return rows


def told(tmp_path, data, **settings):
    with pytest.raises(DataError) as error:
        read(tmp_path, data, **settings)
    return str(error.value)


def test_bytes_with_their_size(tmp_path):
    rows = read(tmp_path, data := png())
    assert rows.to_pylist() == [{"path": "data/a.png", "height": 5, "width": 7, "channels": 3, "bytes": data}]


def test_pixels_are_those_of_the_image_and_survive_a_table(tmp_path, store):
    rows = read(tmp_path, png(), decode=True)
    assert rows.schema.field("pixels").type == pa.list_(pa.uint8())
    assert np.array_equal(np.array(rows["pixels"][0].as_py(), dtype=np.uint8).reshape(5, 7, 3), PIXELS)
    exact = read(tmp_path, png(), decode=True, shape=[5, 7, 3])
    kept = read_fragment(store, write_fragment(store, "a.parquet", exact))
    assert kept.equals(exact)
    assert np.array_equal(kept["pixels"].chunk(0).to_numpy_ndarray()[0], PIXELS)


@pytest.mark.parametrize(
    ("mode", "channels", "expected"), [("L", None, 1), ("P", None, 3), ("RGBA", None, 4), ("1", None, 1), ("L", 3, 3), ("RGBA", 1, 1)]
)
def test_channels(tmp_path, mode, channels, expected):
    assert read(tmp_path, png(mode=mode), decode=True, channels=channels)["channels"].to_pylist() == [expected]


def test_what_is_broken_is_told(tmp_path):
    assert told(tmp_path, png()[:60]).startswith("is a broken image: ")
    assert told(tmp_path, b"x" * 100).startswith("is no image in a format that is read (JPEG, PNG, GIF")
    assert told(tmp_path, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n").startswith("is no image in a format that is read")
    assert (
        told(tmp_path, png(), decode=True, shape=[5, 5, 3])
        == "has shape [5, 7, 3] (height, width, channels), the setting shape says [5, 5, 3]"
    )
    deep = png(PIXELS[:, :, 0].astype(np.uint16) * 200)
    assert told(tmp_path, deep, decode=True).startswith("is a broken image: it has more than 8 bits a channel (mode I;16)")
    assert read(tmp_path, deep)["channels"].to_pylist() == [1]


def test_an_image_too_large_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("raypipe.data.source.images.MAX_PIXELS", 30)
    assert "7 by 5 pixels, at most 30 are read" in told(tmp_path, png())


def test_a_broken_one_is_told_with_its_name(tmp_path):
    (tmp_path / "a.jpg").write_bytes(png(format="JPEG")[:200])
    look: Any = Look("p", tmp_path, "p", "source", None, None)  # type: ignore[arg-type]
    (piece,) = Images("*.jpg").new(look, NOTHING).pieces
    with pytest.raises(DataError, match=r"^a\.jpg: is a broken image"):
        list(Images("*.jpg").batches(piece, {}))  # type: ignore[arg-type]


def test_bad_settings_are_told():
    assert Images("a", channels=2, decode=True).problems() == ["channels is 2, expected 1, 3 or 4"]
    assert Images("a", shape=[1, 2, 3]).problems() == ["channels and shape are of decoded images: set decode: true"]
    assert "shape is [1, 2], expected height, width and channels" in Images("a", shape=[1, 2], decode=True).problems()[0]


def test_files_of_any_kind(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "weird name=1").write_bytes(b"\x00\x01")
    look: Any = Look("p", tmp_path, "p", "source", None, None)  # type: ignore[arg-type]
    (piece,) = Binary("b").new(look, NOTHING).pieces
    assert [t.to_pylist() for t in Binary("b").batches(piece, {})] == [[{"bytes": b"\x00\x01", "path": "b/weird name=1", "size": 2}]]  # type: ignore[arg-type]
