"""Whether the fit of an earlier artifact stays when the data has changed, and how far the training part has drifted since it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from raypipe.core.artifact import Artifact, File, Json, Table
from raypipe.core.canonical import canonical
from raypipe.core.errors import DataError, StoreError
from raypipe.core.step import Look, Work
from raypipe.core.store import Store
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.increment import earlier, unseen
from raypipe.data.map import map_fragments
from raypipe.data.split import columns, mask
from raypipe.data.statistics.distances import distance
from raypipe.data.statistics.encoded import Kept, from_bytes, to_bytes
from raypipe.data.statistics.profile import Profile, merge
from raypipe.data.table import TableSchema, fragments
from raypipe.data.transform.entry import Entry
from raypipe.data.transform.function import Function
from raypipe.data.transform.kernel import spans
from raypipe.data.transform.where import Where

if TYPE_CHECKING:
    from raypipe.data.transform.chain import FittedChain

Refit = Literal["never", "on_drift", "always"]
CHAIN = "chain.json"
FITTED, TRAINING = "fitted.profile", "training.profile"
"""Among the artifact's files: the training part that its chain was fitted on, and that of its own input."""
FITS = 1000
"""Earlier artifacts among which a fit is looked for."""
BUT = ("inputs.table", "observed", "settings.refit", "settings.refit_above")
"""What of the identity may have been another where the fit was made."""


@dataclass(frozen=True)
class Fit:
    """A fit that may stay."""

    chain: bytes
    """As it was written."""
    run: str
    """That in which it was fitted."""
    fitted: Profile
    """The training part of that time."""
    now: Profile
    """The training part of today."""

    @property
    def drift(self) -> dict[str, float]:
        """The population stability index of each column, the greatest first; of none where either side has no rows."""
        if not (self.fitted.num_rows and self.now.num_rows):
            return {}
        columns = {n: c for n, c in self.fitted.columns.items() if n in self.now.columns and (c.numbers or c.top)}
        found = {name: distance(column, self.now.columns[name]) for name, column in columns.items()}
        return {name: round(found[name], 6) for name in sorted(found, key=lambda name: -found[name])}

    def drifted(self, above: float) -> dict[str, float]:
        return {name: psi for name, psi in self.drift.items() if psi > above}

    def __str__(self) -> str:
        """`the fit of run 20261123-161810-ac21b95e stays; 'distance' has drifted most since, by 0.031 (PSI)`."""
        most = next(iter(self.drift.items()), None)
        told = f"; '{most[0]}' has drifted most since, by {most[1]:.2g} (PSI)" if most else ""
        return f"the fit of run {self.run} stays{told}"


@dataclass(frozen=True)
class Fitted:
    """The chain that a step applies, fitted now or before."""

    chain: FittedChain
    files: Sequence[File] = ()
    """What a later run judges by whether it may stay."""
    figures: Mapping[str, Json] = field(default_factory=dict)


def observed(look: Look, table: Table) -> str | None:
    """The fit that a step which may keep one starts from: digests of its chain and of the training part that it had last. None: a new one.

    It is part of the identity, so that tables of one input under different fits are told apart. What was computed from this very input
    before stands.
    """
    for _, identity in earlier(look, ("observed",), FITS):
        return (identity["observed"] or {}).get("fit")
    for artifact, _ in earlier(look, BUT, FITS):
        said = _said(artifact)
        if said and all(look.store.holds(f) for f in _files(artifact).values()) and _is_of_the_same_making(look, artifact, table):
            return said
    return None


def fitted(
    work: Work, refit: Refit, above: float, parts: Sequence[Fragment], describe: Describe, ways: tuple[Callable[[], FittedChain], Any]
) -> Fitted:
    """The chain as the identity and the data want it; `ways`: to fit it anew, and to load one from its JSON."""
    fit_anew, load = ways
    said = ((work.identity or {}).get("observed") or {}).get("fit")
    keep = _kept(work, said, parts, describe) if said else None
    drifted = keep.drifted(above) if keep and refit == "on_drift" else {}
    if keep and not drifted:
        work.report(str(keep))
        return Fitted(load(json.loads(keep.chain)), _write(work, keep.fitted, keep.now), {"fit": {"run": keep.run, "drift": keep.drift}})
    if drifted:
        told = ", ".join(f"'{name}' by {psi:.2g}" for name, psi in drifted.items())
        work.report(f"fitted anew: since run {keep.run if keep else ''} the training part has drifted by more than {above:g} (PSI): {told}")
    before = None if said else next(earlier(work, BUT), None)
    if before and before[1]["inputs"] != work.identity["inputs"]:
        told = "by another contract, label, split or sample, or behind another fit"
        work.report(f"fitted anew: its table is made otherwise than for the fit of run {before[0].run}: {told}")
    now = keep.now if keep else describe.of(work, parts)
    return Fitted(fit_anew(), _write(work, now, now), {"fit": {"run": work.run, "drift": {}}})


@dataclass(frozen=True)
class Describe:
    """A kernel: a fragment -> the profile of its training rows. It travels to a task."""

    store: Store
    names: tuple[str, ...]
    split: Json
    where: Where | None = None
    part: Where | None = None
    """What leaves row groups without a training row unread."""

    def __call__(self, fragment: Fragment) -> Profile:
        wanted = list(dict.fromkeys([*self.names, *(columns(self.split) if self.split else ())]))
        found = []
        for span in spans(self.store, fragment, wanted, self.where, self.part):
            rows = span.rows if self.split is None else span.rows.filter(mask(self.split, span.rows, "train"))
            found.append(Profile.of(rows, self.names))
        return merge(found)

    def of(self, work: Work, parts: Sequence[Fragment]) -> Profile:
        """Of the training rows of all of them."""
        work.alive()
        return merge([p for p in map_fragments(self, parts, inline=work.inline) if p.columns])


def fitted_on(entries: Mapping[str, Entry], columns: Sequence[str], label: str | None) -> tuple[str, ...]:
    """The columns of the table that a fit depends on: those that a learning entry reads, what makes such a column, and the label where one
    learns from it."""
    inputs = [name for name in columns if name != label]
    found: dict[str, None] = {}
    before: dict[str, None] = {}
    for entry in entries.values():
        reads = entry.reads()
        if entry.learns() and not isinstance(entry, Function):
            found |= dict.fromkeys(inputs if reads is None else reads)
            found |= before if reads is not None and any(name not in inputs for name in reads) else {}
            found |= {label: None} if label and getattr(entry, "needs_label", False) else {}
        before |= dict.fromkeys(inputs if reads is None else reads)
    return tuple(name for name in columns if name in found)


def _kept(work: Work, said: str, parts: Sequence[Fragment], describe: Describe) -> Fit:
    """The fit that the identity names, with what the training part is by now. DataError where it is not there any more."""
    for artifact, _ in earlier(work, BUT, FITS):
        if _said(artifact) == said:
            store, files = work.store, _files(artifact)
            then = _profile(store, files[FITTED]) if FITTED in files else _then(work, artifact, describe)
            run = (artifact.figures.get("fit") or {}).get("run", artifact.run)
            return Fit(store.read(files[CHAIN]), run, then, _now(work, artifact, parts, describe))
    raise DataError(f"{work.step}: the fit that is to stay is not there any more; run once with `refit: always`")


def _write(work: Work, then: Profile, now: Profile) -> list[File]:
    return [work.store.write(f"{work.path}/{name}", to_bytes(Kept(profile))) for name, profile in ((FITTED, then), (TRAINING, now))]


def _profile(store: Store, file: File) -> Profile:
    return from_bytes(store.read(file)).profile


def _now(work: Work, artifact: Table, parts: Sequence[Fragment], describe: Describe) -> Profile:
    """Of what the artifact's input was it is kept: only new fragments are read, where none has gone."""
    files = _files(artifact)
    try:
        new, num_gone = unseen(work.store, artifact, parts)
        before = _profile(work.store, files[TRAINING]) if TRAINING in files and not num_gone else None
    except (DataError, StoreError):  # what was there before is read again
        return describe.of(work, parts)
    if before is None or tuple(before.columns) != describe.names:
        return describe.of(work, parts)
    return merge([p for p in (before, describe.of(work, new)) if p.columns])


def _then(work: Work, artifact: Table, describe: Describe) -> Profile:
    """Of an artifact that kept none: its input is read again, where it is still there."""
    source = next((a for a in work.ledger.parents(artifact.id) if isinstance(a, Table)), None)
    try:
        return describe.of(work, fragments(work.ledger, source)) if source else Profile(0, {})
    except DataError as error:
        work.report(f"how far the training part has drifted is not known: {error}")
        return Profile(0, {})


def _said(artifact: Artifact) -> str | None:
    files = _files(artifact)
    return " ".join(files[name].sha256 for name in (CHAIN, TRAINING) if name in files) if CHAIN in files else None


def _files(artifact: Artifact) -> dict[str, File]:
    """Those that are about the fit, by name."""
    return {name: file for file in artifact.files if (name := file.path.rpartition("/")[2]) in (CHAIN, FITTED, TRAINING)}


def _is_of_the_same_making(look: Look, artifact: Table, table: Table) -> bool:
    """Whether the data alone differs: the input was made as it is now, with the same contract, label, split, sample, and fit before it."""
    then = [_making(look, a) for a in look.ledger.parents(artifact.id) if isinstance(a, Table)]
    return _making(look, table) in then


def _making(look: Look, artifact: Artifact) -> str:
    """Digest of how an artifact was made, from the sources on, whatever was in them."""
    identity = look.ledger.identity(artifact.id) or {}
    inputs = set((identity.get("inputs") or {}).values())
    before = [_making(look, parent) for parent in look.ledger.parents(artifact.id) if parent.digest in inputs]
    own = {name: value for name, value in identity.items() if name not in ("inputs", "observed")}
    return hashlib.sha256(canonical([own, list(_shape(artifact)), before]).encode()).hexdigest()


def _shape(artifact: Artifact) -> Iterator[Json]:
    """What of the artifact itself must be the same: the columns, their split and label, and a fit of its own."""
    if isinstance(artifact, Table):
        yield TableSchema.from_json(artifact.schema).meaning()
    files: dict[str, Any] = _files(artifact)
    yield files[CHAIN].sha256 if CHAIN in files else None
