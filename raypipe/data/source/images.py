"""Images as a source."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, ClassVar

import pyarrow as pa

from raypipe.core.errors import ConfigError, DataError
from raypipe.core.step import Look
from raypipe.data.source.binary import content
from raypipe.data.source.files import FilePiece, new_files, path_problems, read_file
from raypipe.data.source.location import Location
from raypipe.data.source.piece import Limit, New, Progress

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")
"""Pillow's decoders that may see a file; the others are for programs, not photographs."""
MAX_PIXELS = 1 << 28
"""Of an image: a larger one is taken for a bomb (16,384 by 16,384)."""
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Images:
    """Images, a row each: columns `path`, `height`, `width`, `channels`, and `bytes` as the file has them or, decoded, `pixels`.

    JPEG, PNG, GIF, BMP, TIFF and WebP, of an animation the first picture. Every image is opened, so that a broken one is told by name.
    """

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("pillow",)
    suffixes: ClassVar[tuple[str, ...]] = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp")

    path: str
    """A file, a folder (with those below it) or a pattern, relative to the project's folder; or a URL: s3, gs, abfss, http, https."""
    decode: bool = False
    """Whether there is, instead of `bytes`, a column `pixels` of uint8: rows of pixels from the top left, channels last."""
    channels: int | None = None
    """1 (grey), 3 (RGB) or 4 (RGBA) to decode into; null: grey stays grey, what has an alpha becomes RGBA, the rest RGB."""
    shape: list[int] | None = None
    """Height, width and channels that every decoded image must have: `pixels` is then a tensor of that shape, otherwise a list."""

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = path_problems(self.path, None)
        found += [f"channels is {self.channels!r}, expected 1, 3 or 4"] if self.channels not in (None, *MODES) else []
        if (self.channels is not None or self.shape is not None) and not self.decode:
            found.append("channels and shape are of decoded images: set decode: true")
        if self.shape is not None and not (len(self.shape) == 3 and all(isinstance(n, int) and n > 0 for n in self.shape)):
            found.append(f"shape is {self.shape}, expected height, width and channels, e.g. [224, 224, 3]")
        return found

    def new(self, look: Look, progress: Progress, limit: Limit | None = None) -> New:
        return new_files(self, look, progress, limit)

    def batches(self, piece: FilePiece, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        return read_file(self, piece, types)

    def read(self, file: Location, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        data = content(file)
        shape, pixels = _opened(data, self.decode, self.channels)
        if self.shape is not None and shape != list(self.shape):
            raise DataError(f"has shape {shape} (height, width, channels), the setting shape says {list(self.shape)}")
        sizes = {name: pa.array([n], pa.int32()) for name, n in zip(("height", "width", "channels"), shape, strict=True)}
        value = self._pixels(pixels) if self.decode else pa.array([data], pa.binary())
        yield pa.table({"path": [file.name], **sizes, "pixels" if self.decode else "bytes": value})

    def has_rows(self, file: Location) -> bool:
        return True

    def _pixels(self, pixels: Any) -> pa.Array:
        flat = pa.array(pixels.reshape(-1))
        if self.shape is None:
            return pa.ListArray.from_arrays(pa.array([0, len(flat)], pa.int32()), flat)
        storage = pa.FixedSizeListArray.from_arrays(flat, len(flat))
        return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.uint8(), list(self.shape)), storage)


def _opened(data: bytes, decode: bool, channels: int | None) -> tuple[list[int], Any]:
    """Height, width and channels; the pixels, uint8 [height, width, channels], where they are asked for. All of the image is read."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise ConfigError("images are read by Pillow, which is not installed: pip install 'raypipe[images]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ValueError(f"{image.width:,} by {image.height:,} pixels, at most {MAX_PIXELS:,} are read")
                image.load()
                if not decode:
                    return [image.height, image.width, len(image.getbands())], None
                pixels = _pixels(image, channels)
                return list(pixels.shape), pixels
    except UnidentifiedImageError:
        raise DataError(f"is no image in a format that is read ({', '.join(FORMATS)}), or it is damaged") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"is a broken image: {str(error).rstrip('.')}") from None


def _pixels(image: Any, channels: int | None) -> Any:
    import numpy as np

    if image.mode.startswith(("I", "F")):
        raise ValueError(f"it has more than 8 bits a channel (mode {image.mode}), which uint8 does not hold: read it with decode: false")
    pixels = np.asarray(image.convert(MODES[channels] if channels else _mode(image)), dtype=np.uint8)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _mode(image: Any) -> str:
    if image.mode in ("1", "L"):
        return "L"
    return "RGBA" if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info else "RGB"
