"""The line at which a function, class or module of the user's differs from what it was."""

from __future__ import annotations

import ast
import io
import tokenize
from difflib import SequenceMatcher

WHOLE = "*"
"""The name of what a module does beside binding names."""


def changed_line(before: str, now: str, name: str) -> int | None:
    """The number of the first line of `name` in the source `now` that is not as it was in `before`; where lines are gone, of the one that
    follows. None where nothing but comments, docstrings and blank lines differs, or it is not in both."""
    old, new = _lines(before, name), _lines(now, name)
    if not old or not new:
        return None
    matcher = SequenceMatcher(a=[text for _, text in old], b=[text for _, text in new], autojunk=False)
    for tag, _, _, first, _ in matcher.get_opcodes():
        if tag != "equal":
            return new[min(first, len(new) - 1)][0]
    return None


def _lines(source: str, name: str) -> list[tuple[int, str]]:
    """The lines of code with their numbers, those of one top-level name or all."""
    try:
        tree = ast.parse(source)
        code = _code(source)
    except (SyntaxError, tokenize.TokenError):
        return []
    skipped = {line for node in ast.walk(tree) if (doc := _docstring(node)) for line in range(doc.lineno, (doc.end_lineno or 0) + 1)}
    wanted = [range(1, len(code) + 1)] if name == WHOLE else [_span(node) for node in tree.body if name in _names(node)]
    return [(line, code[line - 1]) for span in wanted for line in span if line not in skipped and code[line - 1]]


def _code(source: str) -> list[str]:
    """Each line without comment and space at its end."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return [line.rstrip() for line in lines]


def _span(node: ast.stmt) -> range:
    first = min((d.lineno for d in getattr(node, "decorator_list", ())), default=node.lineno)
    return range(first, (node.end_lineno or node.lineno) + 1)


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {n.id for target in targets if target is not None for n in ast.walk(target) if isinstance(n, ast.Name)}


def _docstring(node: ast.AST) -> ast.Expr | None:
    body = getattr(node, "body", None)
    if not isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or not body:
        return None
    first = body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return first if is_text else None
