"""The canonical form of Python source: what of a text bears on what it computes, the same on every supported version of Python."""

from __future__ import annotations

import ast
import hashlib
import io
import keyword
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

_SKIPPED = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_MARKS = {tokenize.NEWLINE: "\n", tokenize.INDENT: "\x01", tokenize.DEDENT: "\x02"}
_OPEN, _CLOSE = {"(", "[", "{"}, {")", "]", "}"}
_STRING_START, _STRING_END = ({getattr(tokenize, f"{kind}STRING_{end}", -1) for kind in "FT"} for end in ("START", "END"))


@dataclass
class _Bracket:
    """An open bracket, as far as it tells whether its trailing comma means anything."""

    plain: bool
    """A call, a definition, a display: `f(a,)` is `f(a)`, `[a,]` is `[a]`; while `(a,)` and `x[a,]` are tuples."""
    commas: int = 0
    has_lambda: bool = False


@lru_cache(maxsize=4096)
def digest(source: str) -> str:
    """sha256 over the canonical tokens of `source`: whole statements, as they stand in a file."""
    return hashlib.sha256("\0".join(canonical(source)).encode("utf-8", "surrogatepass")).hexdigest()


def canonical(source: str) -> list[str]:
    """The tokens that bear meaning.

    Left out: comments, blank lines, docstrings and other bare strings, the width of an indentation, line continuations, trailing commas
    that make no tuple, which quotes a string has and how it is cut into adjacent pieces. `ast.dump` would do, were it not different
    between versions of Python.

    >>> canonical("x = f(a,  # why\\n  'b',)") == canonical('x = f(a, "b")')
    True
    """
    tokens: list[str] = []
    brackets: list[_Bracket] = []
    line = 0
    for kind, text in _pieces(source):
        if kind == tokenize.STRING:
            text = _string(text)
            if tokens and tokens[-1][:2] == text[:2] and text[0] == '"':
                tokens[-1] += text[2:]
                continue
        elif kind == tokenize.NUMBER:
            text = text.lower().replace("_", "")
        elif kind == tokenize.NEWLINE:
            if len(tokens) == line + 1 and tokens[-1][0] == '"':
                tokens.pop()
                continue
            line = len(tokens) + 1
        elif kind in _MARKS:
            line = len(tokens) + 1
        elif kind == tokenize.OP or text == "lambda":
            _note(text, tokens, brackets)
        tokens.append(text)
    return tokens


def _note(text: str, tokens: list[str], brackets: list[_Bracket]) -> None:
    """Follows brackets, and takes back a trailing comma that means nothing."""
    if text in _OPEN:
        brackets.append(_Bracket(_is_plain(text, tokens[-1] if tokens else "\n")))
    elif text in _CLOSE and brackets:
        bracket = brackets.pop()
        if tokens[-1] == "," and (bracket.plain or (bracket.commas > 1 and not bracket.has_lambda)):
            tokens.pop()
    elif brackets:
        brackets[-1].commas += text == ","
        brackets[-1].has_lambda |= text == "lambda"


def _is_plain(bracket: str, before: str) -> bool:
    is_name = before.isidentifier() and not keyword.iskeyword(before) and not keyword.issoftkeyword(before)
    if bracket == "(":
        return is_name or before in _CLOSE
    return bracket == "{" or not (is_name or keyword.issoftkeyword(before) or before in _CLOSE or before[0] in '"f')


def _pieces(source: str) -> Iterator[tuple[int, str]]:
    """Tokens as (kind, text); an f-string is one piece of raw source, as Python 3.11 has it."""
    depth = 0
    start = (0, 0)
    lines: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = token.type
        if kind in _STRING_START:
            start, depth = (token.start, depth + 1) if not depth else (start, depth + 1)
        elif kind in _STRING_END:
            depth -= 1
            if not depth:
                lines = lines or io.StringIO(source).readlines()
                yield tokenize.STRING, _between(lines, start, token.end)
        elif not depth and kind not in _SKIPPED:
            yield kind, _MARKS.get(kind, token.string)


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    (first, left), (last, right) = start, end
    if first == last:
        return lines[first - 1][left:right]
    return "".join([lines[first - 1][left:], *lines[first : last - 1], lines[last - 1][:right]])


def _string(text: str) -> str:
    """A literal by its value: `"s...` for text, `"b...` for bytes; an f-string, whose braces hold code, as it is written."""
    quote = min(i for i in (text.find("'"), text.find('"')) if i >= 0)
    prefix = text[:quote].lower()
    if "f" in prefix or "t" in prefix:
        return prefix + text[quote:]
    value = _plain(text[quote:]) if not prefix and "\\" not in text else ast.literal_eval(text)
    if isinstance(value, bytes):
        return '"b' + value.hex()
    return '"s' + value.replace("\\", "\\\\").replace("\0", "\\0")


def _plain(text: str) -> str:
    """A literal without prefix and escapes, between its quotes."""
    width = 3 if text[:3] in ('"""', "'''") else 1
    return text[width:-width]


def joined(digests: Iterable[str]) -> str:
    """One digest of several lines of text, in their order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
