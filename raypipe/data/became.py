"""What each fragment of a row-wise step's input became: a small file among the artifact's own, by which a later run knows what is new."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from raypipe.core.artifact import Artifact, File, Json
from raypipe.core.canonical import canonical
from raypipe.core.errors import DataError
from raypipe.data.fragment.fragment import Fragment

if TYPE_CHECKING:
    from raypipe.core.store import Store

BECAME = "became.arrow"
"""Among the artifact's files: what each fragment of the input became. 70 bytes a fragment, and what was noted of it."""
FORMAT = 1


@dataclass(frozen=True)
class Became:
    """What one fragment of the input became."""

    digests: Sequence[str]
    """Of the bytes of the fragments of the output: none, one or several."""
    note: Json = None
    """What the step knows of it, as JSON: counts, say, that add up."""
    fragments: Sequence[Fragment] = ()
    """Those fragments; empty where they stay in the table as they are."""


@dataclass(frozen=True)
class Record:
    """What lies with an artifact, of each fragment of its input."""

    depends: str
    """Digest of what the rows depend on beyond the step's identity."""
    inputs: list[bytes]
    output: list[list[bytes]]
    notes: list[str | None]

    def note(self, place: int) -> Json:
        note = self.notes[place]
        return None if note is None else json.loads(note)

    def all_notes(self) -> list[Json]:
        return [self.note(place) for place in range(len(self.notes))]

    def outputs(self) -> list[str]:
        return [digest.hex() for digests in self.output for digest in digests]

    def places(self) -> dict[bytes, list[int]]:
        """Each input with its places: a file's content may come twice."""
        found: dict[bytes, list[int]] = defaultdict(list)
        for place, digest in enumerate(self.inputs):
            found[digest].append(place)
        return found


def write(store: Store, folder: str, depends: str, pairs: Sequence[tuple[Fragment, Became]]) -> File:
    """Of each fragment of the input, in order."""
    columns = {
        "input": pa.array([digest(fragment) for fragment, _ in pairs], pa.binary(32)),
        "output": pa.array([[bytes.fromhex(d) for d in became.digests] for _, became in pairs], pa.list_(pa.binary(32))),
        "note": pa.array([None if became.note is None else canonical(became.note) for _, became in pairs], pa.string()),
    }
    about = {"format": str(FORMAT), "depends": depends}
    return store.write(f"{folder}/{BECAME}", _to_bytes(pa.table(columns).replace_schema_metadata(about)))


def read(store: Store, artifact: Artifact) -> Record:
    """DataError where it has none, or one of another format; StoreError where it is lost or damaged."""
    file = next((f for f in artifact.files if f.path.rpartition("/")[2] == BECAME), None)
    if file is None:
        raise DataError("it was made before such was kept")
    table = pa.ipc.open_file(pa.BufferReader(store.read(file))).read_all()
    about = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    if about.get("format") != str(FORMAT):
        raise DataError(f"{file.path} has format {about.get('format')}, this raypipe reads {FORMAT}")
    columns = [table.column(name).to_pylist() for name in ("input", "output", "note")]
    return Record(about["depends"], *columns)


def digest(fragment: Fragment) -> bytes:
    """What a reader gets of it: its bytes, less its deleted rows, in the columns of its snapshot."""
    said = [fragment.sha256, fragment.deletes.sha256 if fragment.deletes else "", fragment.columns]
    sha256 = hashlib.sha256("\n".join(said).encode())
    if fragment.as_now is not None:
        sha256.update(fragment.as_now.serialize())
    return sha256.digest()


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
