"""A process without standard streams writes to no other file in their place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_without_standard_streams_nothing_is_written_to_another_file(tmp_path: Path):
    code = f"""
from raypipe.core.streams import open_streams
open_streams()
with open({str(tmp_path / "ledger")!r}, "w") as file:
    print("said", flush=True)
    file.write(str(file.fileno() > 2))
"""
    subprocess.run(["sh", "-c", f'"{sys.executable}" -c "$0" <&- >&- 2>&-', code], check=True)
    assert (tmp_path / "ledger").read_text() == "True"
