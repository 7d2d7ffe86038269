"""How a step calls code of the user's with rows: the forms that its annotations name, and what is wrong with that, told before it runs."""

from __future__ import annotations

from collections.abc import Sequence

from raypipe.code.annotation import misfit
from raypipe.code.recorded import UserCode
from raypipe.code.shape import Shape
from raypipe.core.errors import Problem, nearest
from raypipe.core.form import ARROW, LIBRARIES, Form, Kind, expected, form_of


def forms(code: UserCode) -> tuple[Form | None, Form | None]:
    """What it takes and what it gives back: Arrow where nothing is annotated, the same as it takes where the return is not; None where the
    annotation names no form."""
    takes, gives = code.annotations
    taken = form_of(takes) if takes else ARROW
    return taken, form_of(gives) if gives else taken


def problems_of(where: str, code: UserCode, kinds: Sequence[Kind]) -> list[Problem]:
    """Annotations that name none of these forms, and settings that are none of its arguments."""
    if code.shape is None:
        return []
    words = (("takes", code.shape.takes), ("returns", code.shape.gives))
    wrong = [
        Problem(where, f"{code.target} {word} {annotation}; here that is one of: {expected(kinds)}.")
        for (word, annotation), form in zip(words, forms(code), strict=True)
        if form is None or form.streamed or form.kind not in kinds
    ]
    return wrong + _argument_problems(where, code)


def libraries(shape: Shape) -> list[str]:
    """Distributions that turn a table into what the function's annotations name, and back."""
    annotations = [shape.takes, shape.gives, *(p.resolved for p in shape.parameters)]
    forms = [form for annotation in annotations if annotation and (form := form_of(annotation))]
    return sorted({name for form in forms for name in LIBRARIES[form.kind]})


def _argument_problems(where: str, code: UserCode) -> list[Problem]:
    assert code.shape is not None
    parameters = code.shape.parameters if code.shape.kind == "class" else code.shape.parameters[1:]
    names = [p.name for p in parameters]
    found = []
    types = {p.name: p.resolved for p in parameters}
    for name, value in code.settings.items():
        if name in types and not isinstance(value, UserCode) and (wanted := misfit(value, types[name])):
            found.append(Problem(f"{where}.{name}", f"found {value!r}, expected {wanted}."))
        if name not in names and not code.shape.accepts_any:
            found.append(Problem(f"{where}.{name}", f"unknown: {code.target} takes no '{name}'.{nearest(name, names)}"))
    for parameter in parameters:
        if parameter.required and parameter.name not in code.settings:
            found.append(Problem(f"{where}.{parameter.name}", f"missing: {code.target} needs '{parameter.name}'."))
    return found
