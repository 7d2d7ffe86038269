"""What becomes of files that are not as an ingest expects them: refused, replaced, left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from raypipe.core.errors import DataError
from raypipe.data.source.piece import New, Piece

Changed = Literal["refuse", "replace", "ignore"]
Gone = Literal["refuse", "keep"]
Duplicates = Literal["refuse", "skip"]
OnBad = Literal["fail", "quarantine"]

PUT_BACK = "Put it back as it was and bring what is new as a new file"


@dataclass(frozen=True)
class Policy:
    """Settings of the step Ingest."""

    changed: Changed = "refuse"
    gone: Gone = "refuse"
    duplicates: Duplicates = "refuse"
    on_bad: OnBad = "fail"

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        choices = {"changed": Changed, "gone": Gone, "duplicates": Duplicates, "on_bad": OnBad}
        found = {name: getattr(self, name) for name in choices}
        return [
            f"{name} is {found[name]!r}, expected {', '.join(get_args(choice))}"
            for name, choice in choices.items()
            if found[name] not in get_args(choice)
        ]

    def refuse(self, new: New) -> None:
        """DataError with every file that is refused."""
        told = []
        if self.changed == "refuse":
            advice = f"{PUT_BACK}, or say what to do (setting `changed`: replace, ignore)."
            told += [f"{piece.name}: its rows were taken, and its content has changed since. {advice}" for piece in new.changed]
        if self.gone == "refuse":
            for name, other in new.gone.items():
                where = f"; {other} has its content" if other else ""
                advice = f"{PUT_BACK}, or keep the rows without it (setting `gone: keep`)."
                told.append(f"{name}: its rows were taken, and it is not there any more{where}. {advice}")
        if self.duplicates == "refuse":
            told += [
                f"{name}: has the same content as {other}, so that its rows would be taken twice. "
                "Remove one of them, or leave it out (setting `duplicates: skip`)."
                for name, other in new.doubles.items()
                if other not in new.gone
            ]
        if told:
            raise DataError("\n".join(told))

    def pieces(self, new: New) -> tuple[Sequence[Piece], Sequence[Piece]]:
        """Those to read as new ones, and those to read in place of what was taken of them."""
        wanted = [piece for piece in new.pieces if piece.name not in new.doubles]
        return wanted, new.changed if self.changed == "replace" else ()

    def told(self, new: New) -> list[str]:
        """What is done without being refused, a line each."""
        lines = [f"{name}: left out, it has the same content as {other}" for name, other in new.doubles.items()]
        if self.changed == "ignore":
            lines += [f"{piece.name}: its content has changed since it was taken: ignored" for piece in new.changed]
        elif self.changed == "replace":
            lines += [f"{piece.name}: its content has changed since it was taken: its rows are replaced" for piece in new.changed]
        return lines + [f"{name}: is not there any more, its rows stay" for name in new.gone]
