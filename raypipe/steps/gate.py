"""Gate: may this model go on? Its figures against bounds, and against those of the champion on the same rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from raypipe.core.artifact import Evaluation, Json, Model, Table, Verdict
from raypipe.core.errors import Problem
from raypipe.core.step import Columns, Look, Made, Ref, Work


@dataclass(frozen=True)
class Gate:
    """The verdict. A champion whose figures on this test part are not known yet is scored anew, through its own transform."""

    revision: ClassVar[int] = 1
    figures: ClassVar[tuple[str, ...]] = ("passed", "reasons", "note", "model", "champion")

    model: Ref[Model] = Ref("train")
    """The candidate."""
    evaluation: Ref[Evaluation] = Ref("evaluate")
    """Its figures."""
    table: Ref[Table] = Ref("split")
    """The rows before the transform, for scoring a champion; set to what `transform` reads."""
    thresholds: dict[str, dict[str, float]] = field(default_factory=dict)
    """Metric -> bounds, e.g. `{auc: {min: 0.65}, brier: {max: 0.2}}`."""
    max_drop: dict[str, float] = field(default_factory=dict)
    """Metric -> by how much the candidate may be worse than the champion, e.g. `{auc: 0.005}`."""
    name: str | None = None
    """The model's name, whose champion is the rival; by default the pipeline's."""

    def check(self, where: str, **inputs: Columns | None) -> list[Problem]:
        from raypipe.evaluate.gate import check

        return check(where, self.thresholds, self.max_drop)

    def observe(self, look: Look, model: Model, **inputs: Any) -> Json:
        """The champion's digest; where the champion is the model judged, what it was judged against when it came in."""
        champion = self._champion(look)
        if champion is None or champion.digest != model.digest:
            return {"champion": champion.digest if champion else None}
        return {"champion": self._judged_against(look, model)}

    def run(self, work: Work, model: Model, evaluation: Evaluation, table: Table) -> Made[Verdict]:
        from raypipe.evaluate.gate import judge

        rival = self._champion(work)
        if rival is not None and rival.digest == model.digest:
            rival = None
        champion = self._score(work, rival, table) if rival is not None and self.max_drop else None
        judgement = judge(evaluation.figures, self.thresholds, champion, self.max_drop)
        for line in judgement.text().splitlines():
            work.report(line)
        figures = {**judgement.to_json(), "model": model.digest, "champion": rival.digest if rival else None}
        digest = hashlib.sha256(json.dumps(figures, sort_keys=True).encode()).hexdigest()
        return Made(digest, figures=figures)

    def _champion(self, look: Look) -> Model | None:
        from raypipe.registry.versions import champion

        return champion(look.ledger, self.name or look.pipeline)

    def _judged_against(self, look: Look, model: Model) -> str | None:
        from raypipe.registry.versions import verdicts

        passed = [v for v in verdicts(look.ledger, look.pipeline) if v.figures["model"] == model.digest and v.figures["passed"]]
        return passed[-1].figures["champion"] if passed else None

    def _score(self, work: Work, rival: Model, table: Table) -> Mapping[str, Json]:
        from raypipe.steps.evaluate import evaluated, score

        known = evaluated(work.ledger, rival, table)
        if known is not None:
            return known
        work.report("scoring the champion on the same test part")
        return score(work, rival, table, (), 0, transformed=False)
