"""Whether a JSON value fits an annotation, by the annotation's text: no module is imported for it."""

from __future__ import annotations

import ast

from raypipe.core.artifact import Json

PLAIN = {"str": str, "int": int, "float": (int, float), "bool": bool, "None": type(None)}


def mismatch(value: Json, annotation: str) -> str:
    """What was found and expected, or nothing where it fits, or where the annotation says nothing that can be checked."""
    if not annotation:
        return ""
    try:
        tree = ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return ""
    return "" if _fits(value, tree) else f"found {value!r}, expected {_plainly(annotation)}."


def _fits(value: Json, node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _fits(value, node.left) or _fits(value, node.right)
    if isinstance(node, ast.Constant):
        return value is None if node.value is None else True
    if isinstance(node, ast.Subscript):
        return _generic(value, ast.unparse(node.value).rpartition(".")[2], node.slice)
    name = ast.unparse(node).rpartition(".")[2]
    if name in PLAIN:
        return isinstance(value, PLAIN[name]) and (name == "bool" or not isinstance(value, bool))
    return not (name in ("list", "dict") and not isinstance(value, list if name == "list" else dict))


def _generic(value: Json, name: str, inside: ast.expr) -> bool:
    if name == "Literal":
        return value in ast.literal_eval(ast.Tuple(inside.elts if isinstance(inside, ast.Tuple) else [inside], ast.Load()))
    if name == "Optional":
        return value is None or _fits(value, inside)
    if name in ("list", "Sequence", "tuple", "set", "frozenset"):
        of = inside.elts[0] if isinstance(inside, ast.Tuple) else inside
        return isinstance(value, list) and all(_fits(v, of) for v in value)
    if name in ("dict", "Mapping"):
        of = inside.elts[1] if isinstance(inside, ast.Tuple) and len(inside.elts) == 2 else inside
        return isinstance(value, dict) and all(_fits(v, of) for v in value.values())
    if name == "Ref":
        return isinstance(value, str)
    return True


def _plainly(annotation: str) -> str:
    words = annotation.replace("typing.", "").replace("collections.abc.", "").replace(" | ", " or ")
    if words.startswith("raypipe.core.step.Ref"):
        return "the name of a step"
    return words.replace("Literal[", "one of ").removesuffix("]") if words.startswith("Literal[") else words
