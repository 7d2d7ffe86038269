"""Train: a model fitted on the training part, compared after export, with its threshold chosen on the validation part."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from raypipe.core.artifact import File, Json, Model, Report, Table
from raypipe.core.cluster import num_cores
from raypipe.core.errors import DataError, Problem
from raypipe.core.step import NO_IDENTITY, Columns, Look, Made, Ref, Work
from raypipe.evaluate.figure import FIGURES
from raypipe.steps.transform import CHAIN, CODE, EXAMPLES

if TYPE_CHECKING:
    from raypipe.train.job import Fitted, Job


@dataclass(frozen=True)
class Train:
    """Its artifact is the bundle. After a kill it goes on from the last checkpoint that verifies."""

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ()
    figures: ClassVar[tuple[str, ...]] = (
        *("format", "threshold", "best_epoch", "epochs", "history", "rows.train", "rows.validation"),
        *("export_difference", "resumed_from"),
        *(f"validation.{name}" for name in FIGURES),
    )

    model: Any = None
    """What is trained: raypipe.Booster, raypipe.Mlp, raypipe.Logistic. Set by the slot `model`."""
    label: str | None = None
    """The label's column. Set by the slot `label`."""
    table: Ref[Table] = Ref("transform")
    """The step whose table holds the features."""
    checked: Ref[Report] | None = field(default=Ref("leak_check"), metadata=NO_IDENTITY)
    """The report of a LeakCheck that must have passed, where the pipeline has one; only an order, no part of the fingerprint."""
    epochs: int = 5
    """Passes over the training part (for a booster: `model.rounds_per_epoch` trees each); a model that fits at once takes none."""
    seed: int = 0
    """Of weights, order, dropout and sampling."""
    early_stopping: int | None = None
    """Epochs without a better log-loss on the validation part after which training ends; null: never."""
    threshold: float | Literal["f1"] = "f1"
    """The probability from which on a row is of the positive class; `f1`: the one with the highest F1 on the validation part."""
    classes: list[str] | None = None
    """Names of the negative and the positive class; null: the label's two values."""
    checkpoint_every_steps: int = field(default=500, metadata=NO_IDENTITY)
    """Steps between two checkpoints within an epoch, of models that train by steps; there is one after each epoch in any case."""
    # One feeds the same rows in the same order as none. More will be part of the identity: they change the numbers.
    num_workers: int = field(default=0, metadata=NO_IDENTITY)
    """Workers of Ray Train's: 0 trains in the driver's process, 1 in a process of its own, placed by the step's `execution`."""

    @classmethod
    def identity(cls, settings: dict[str, Json]) -> dict[str, Json]:
        """A model that fits at once takes no epochs: the settings that only epochs use say nothing about it."""
        from raypipe.train import model

        kind = getattr(model, (settings.get("model") or {}).get("_target_", "").rpartition(".")[2], None)
        unused = () if getattr(kind, "takes_epochs", True) else ("epochs", "early_stopping")
        return {k: v for k, v in settings.items() if k not in unused}

    def check(self, where: str, table: Columns | None = None, checked: Columns | None = None) -> list[Problem]:
        if self.model is None or self.label is None:
            return [Problem(where, "needs a model and a label.")]
        counts = {"epochs": self.epochs, "checkpoint_every_steps": self.checkpoint_every_steps}
        low = [Problem(f"{where}.{name}", f"found {n}, expected at least 1.") for name, n in counts.items() if n < 1]
        workers = (
            []
            if self.num_workers in (0, 1)
            else [Problem(f"{where}.num_workers", f"found {self.num_workers}, expected 0 or 1: the feed has one worker for now.")]
        )
        names = (
            []
            if self.classes is None or len(self.classes) == 2
            else [Problem(f"{where}.classes", "expected two names, the negative class first.")]
        )
        model = [Problem(f"model.{p.where}", p.what) for p in self.model.problems()] if hasattr(self.model, "problems") else []
        types = {n: table.types[n] for n in table.features or () if n in table.types} if table else {}
        from raypipe.train.model import check_features

        return [*low, *workers, *names, *model, *check_features(types, f"{where}.table")]

    def needs(self) -> dict[str, float]:
        """The cores that its threads take."""
        threads = getattr(self.model, "num_threads", 1)
        return {"CPU": float(threads or num_cores())}

    def resumes(self, look: Look, fingerprint: str) -> str | None:
        from raypipe.train.checkpoint import latest, of_shorter

        folder = _alike(look)
        if found := latest(look.store, _checkpoints(folder, fingerprint)):
            return f"goes on from {found}"
        found = of_shorter(look.store, folder, self.epochs)
        return f"goes on from a training of fewer epochs: {found}" if found else None

    def run(self, work: Work, table: Table, checked: Report | None = None) -> Made[Model]:
        from raypipe.bundle.bundle import save
        from raypipe.bundle.files import digest
        from raypipe.train.fit import fit

        job = self._job(work, table)
        fitted = fit(job)
        inside = {name.rpartition("/")[2]: file for file in table.files for name in [file.path]}
        if CHAIN not in inside:
            raise DataError(f"{work.step}: '{self.table}' was not made by a Transform, so the model would have no transform to serve with.")
        files = save(
            work.store,
            work.path,
            format=fitted.format,
            model_bytes=fitted.model,
            chain_json=json.loads(work.store.read(inside[CHAIN])),
            code=json.loads(work.store.read(inside[CODE])) if CODE in inside else None,
            signature=self._signature(table, fitted),
            threshold=fitted.threshold,
            lineage={"run": work.run, "pipeline": work.pipeline, "table": table.name, "snapshot": table.snapshot, "data": table.digest},
            examples=_examples(work, inside[EXAMPLES]),
        )
        return Made(digest(files), files, figures=_figures(fitted))

    def _job(self, work: Work, table: Table) -> Job:
        from raypipe.data.table import TableSchema, fragments
        from raypipe.train.job import Job

        return Job(
            store=work.store,
            fragments=fragments(work.ledger, table),
            schema=TableSchema.from_json(table.schema),
            model=self.model,
            attempt=work.path.rpartition("/")[2],
            checkpoints=_checkpoints(_alike(work), work.fingerprint, work.run if work.anew else ""),
            shorter="" if work.anew else _alike(work),
            epochs=self.epochs,
            seed=self.seed,
            early_stopping=self.early_stopping,
            threshold=self.threshold,
            classes=(self.classes[0], self.classes[1]) if self.classes else None,
            checkpoint_every_steps=self.checkpoint_every_steps,
            num_workers=0 if work.inline else self.num_workers,
            num_cpus=self.needs()["CPU"],
            report=work.report,
            alive=work.alive,
        )

    def _signature(self, table: Table, fitted: Fitted) -> Any:
        from raypipe.bundle.signature import Field, Signature
        from raypipe.data.table import TableSchema

        inputs = tuple(Field(f["name"], f["type"], f["nullable"]) for f in table.figures["inputs"])
        features = TableSchema.from_json(table.schema).features or ()
        return Signature(inputs, tuple(features), self.label or "", fitted.classes, fitted.positive)


def _alike(look: Look) -> str:
    """The same folder for trainings that differ in their epochs alone."""
    settings = {name: value for name, value in look.identity["settings"].items() if name != "epochs"}
    document = json.dumps({**look.identity, "settings": settings}, sort_keys=True, separators=(",", ":"))
    return f"checkpoints/{hashlib.sha256(document.encode()).hexdigest()[:32]}"


def _checkpoints(alike: str, fingerprint: str, run: str = "") -> str:
    """The same folder for every attempt at this training; at one that is asked for anew, for those of its run."""
    return f"{alike}/{fingerprint[:32]}{'-' if run else ''}{run}"


def _examples(work: Work, file: File) -> Any:
    import pyarrow as pa

    return pa.ipc.open_file(pa.py_buffer(work.store.read(file))).read_all()


def _figures(fitted: Fitted) -> dict[str, Json]:
    validation = {k: v for k, v in fitted.validation.items() if k not in ("calibration", "reasons")}
    return {
        "format": fitted.format,
        "threshold": fitted.threshold,
        "best_epoch": fitted.best_epoch,
        "epochs": len(fitted.history),
        "history": fitted.history,
        "validation": validation,
        "rows": fitted.num_rows,
        "export_difference": fitted.export_difference,
        "resumed_from": fitted.resumed_from,
    }
