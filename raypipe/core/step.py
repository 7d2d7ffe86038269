"""What a step is: settings, edges and a `run` that turns input artifacts into one output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from raypipe.core.artifact import Artifact, File, Json

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from raypipe.core.ledger import Ledger
    from raypipe.core.store import Store

K = TypeVar("K", bound=Artifact)


class Ref(str, Generic[K]):
    """The name of a step whose output of kind `K` is read: a field typed `Ref[Table]` is an edge. A plain str will do as its value."""


Commit = Callable[["Connection", str], "dict[str, Json] | None"]
"""What else a step made, as statements of the transaction that publishes its artifact: called with the open connection and the
artifact's id; what it returns is added to the artifact's figures (a table's snapshot id is known only there)."""

DIGEST = "digest"
"""The figure of a commit's that replaces the artifact's digest: what is put behind another's rows is known only there."""


BY_HAND = "by-hand"
"""The pipeline under whose name a person's changes of tables are recorded. Nothing is made from them, so that none is needed longer."""


@dataclass(frozen=True)
class Made(Generic[K]):
    """What `run` hands back. The driver alone publishes it; the kind is the `K` of `run`'s return annotation."""

    digest: str
    """sha256 of the content."""
    files: tuple[File, ...] = ()
    """Files written under `work.path`, already durable."""
    schema: Json = None
    figures: dict[str, Json] = field(default_factory=dict)
    commits: Sequence[Commit] = ()


@dataclass(frozen=True)
class Look:
    """What a step may look at without Ray: the ledger (read only) and the store. Used by `plan`."""

    project: str
    project_path: Path
    """The project's folder: relative source paths start here."""
    pipeline: str
    step: str
    ledger: Ledger
    store: Store
    sample: float = 1.0
    """Share of rows that Ingest takes (`--sample`)."""
    identity: Json = None
    """The document whose digest is the fingerprint; in `observe`, without what is observed. None where it is not known yet."""


@dataclass(frozen=True)
class Work(Look):
    """What a running step works with, beyond what it may look at."""

    run: str = ""
    path: str = ""
    """A folder of this attempt's own, relative to the store's root: what it writes there nobody else writes."""
    fingerprint: str = ""
    anew: bool = False
    """Asked for anew: nothing that was made before is carried over."""
    inline: bool = False
    """True under `cluster=debug`: no Ray, everything in this process."""
    report: Callable[[str], None] = lambda text: None
    """Shows a line of progress beside the step."""
    alive: Callable[[], None] = lambda: None
    """Raises Fenced when the lease is lost; called between pieces of work."""
    keep: Callable[[Callable[[Connection], None]], None] = lambda write: None
    """Writes to the ledger before the step is done, in a transaction that holds the lease: Fenced where it was lost. Under no lease, as
    in a trial, nothing is kept."""


@dataclass(frozen=True)
class Standing:
    """How the world compares with what an effect step set."""

    state: Literal["in place", "recorded", "held", "lost"]
    """`in place`: as set. `recorded`: desired state set, nothing serves it. `held`: a person changed it since, and that is kept.
    `lost`: it must act again."""
    why: str = ""


class Step(Protocol):
    """A dataclass with a `run(self, work, **inputs)`; the inputs are named after its `Ref` fields.

    It may also have, each found by its name:

    - `revision: ClassVar[int]` (raypipe's own): raised when its result or a default changes.
    - `distributions: ClassVar[tuple[str, ...]]`: installed distributions whose version shapes its result.
    - `observe(self, look, **inputs) -> Json`: what it reads from outside the graph (a source's state, the champion's digest); part of
      its fingerprint. An input that is not made yet is None.
    - `standing(self, look, artifact, **inputs) -> Standing`: it is an effect step, and this compares the world with `artifact`.
    - `stale(self, look, artifact) -> str | None`: why an artifact of this fingerprint does not do any more, though its bytes are there: the
      world has moved on in a way that is no part of the identity.
    - `foresees(self, look, **inputs) -> str`: what of its input is new since an earlier artifact ("3 of 300 fragments are new").
    - `resumes(self, look, fingerprint) -> str | None`: where a half-made result would go on ("epoch 3 of 5"), for `plan`.
    - `columns(self, **inputs) -> Columns | None`: the columns it would make from those of its inputs, known before anything runs.
    - `needs(self) -> dict[str, float]`: what it takes of the cluster while it runs, by Ray's names (`{"CPU": 2}`); by default one CPU.
    - `driver_only: ClassVar[bool]`: it is cheap work of the driver's own, which takes nothing of the cluster.
    - `figures: ClassVar[tuple[str, ...]]` (raypipe's own, all of them): the dotted names of every figure that its artifact may have beyond
      those of every table, so that a condition on another one is refused before anything runs.
    - `check(self, where, **inputs) -> list[Problem]`: what is wrong with it, knowing `Columns` of its inputs (None: not known).

    A field with `metadata=NO_IDENTITY` says where or how fast, not what: it is no part of the fingerprint.
    """

    def run(self, work: Work, **inputs: Any) -> Made[Any]: ...


class Function(Protocol):
    """Type of a setting that holds a function of the user's, `{_target_: module.function}`: the setting's line says what it is given."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


NO_IDENTITY = {"identity": False}
"""Field metadata: this setting, or this edge, is no part of the step's fingerprint."""


@dataclass(frozen=True)
class Columns:
    """What is known of a table's columns before anything runs."""

    names: tuple[str, ...] | None
    """In order; None where a function that declares nothing made them."""
    types: dict[str, str] = field(default_factory=dict)
    """Arrow type names, of those that are known."""
    known_afterwards: frozenset[str] = frozenset()
    """Columns whose value is known only after the moment of prediction; they may not be a model's input."""
    label: str | None = None
    features: tuple[str, ...] | None = None
    """The model's inputs, after a Transform."""
