"""Where Parquet is written: the store's writer, keeping the end of the file, which is its footer."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raypipe.core.store import Writer


TAIL_BYTES = 8
"""Behind the footer: its length and a magic word."""


class Sink:
    """What pyarrow writes to, the footer, its length and the magic word in a call each."""

    closed = False

    def __init__(self, writer: Writer):
        self._writer = writer
        self._last: tuple[Any, ...] = ()

    def write(self, data: Any) -> int:
        self._last = (*self._last[-2:], data)
        return self._writer.write(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def footer_bytes(self) -> int:
        return int.from_bytes(self._end()[-TAIL_BYTES:-4], "little")

    def footer_sha256(self) -> str:
        """Of the footer, its length and the magic word: what a page's checksum covers nowhere."""
        end, num_bytes = self._end(), self.footer_bytes() + TAIL_BYTES
        assert len(end) >= num_bytes, "the footer was written in pieces"
        return hashlib.sha256(end[-num_bytes:]).hexdigest()

    def _end(self) -> bytes:
        return b"".join(bytes(memoryview(data)) for data in self._last)
