"""Where Parquet is written: the store's writer, keeping the end of the file, which says how long the footer is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raypipe.core.store import Writer


class Sink:
    """What pyarrow writes to. Parquet's last eight bytes are the length of its footer and a magic word."""

    closed = False

    def __init__(self, writer: Writer):
        self._writer, self._end = writer, b""

    def write(self, data: Any) -> int:
        self._end = (self._end + bytes(memoryview(data)[-8:]))[-8:]
        return self._writer.write(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def footer_bytes(self) -> int:
        return int.from_bytes(self._end[:4], "little")
