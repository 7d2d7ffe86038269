"""The canonical tokens: what makes no difference, what does, and that every version of Python gives the same."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.code.tokens import canonical, digest

SAMPLE = '''
import numpy as np
@decorate(kind="a", n=1_000,)
async def f(a, /, b: int = 0xFF, *c, d=1e-3, **e) -> "str":
    """Doc."""
    async with x as y, z:
        t = (a,), [b,], {c,}, q[1,], {**e,}
        await y[..., ::2] @ z
    s = f"{a!r:>{b}} {{x}} {c['k']} é" "tail" rb'\\x00' if a else u'é\\n' "b"
    match a:
        case (1,): pass
        case {"k": [x, *_]} | str(): return lambda *p, k=1: (p, k,)
    return not (a := b) <= c != d // e ** -2j
'''


def test_the_form_is_the_same_on_every_version_of_python():
    assert digest(SAMPLE) == "d67d862ea9537776eccdd4633858f620007077e550e6feba9f06b3a0fffb8d25"


SAME = [
    ("x = 'a'", 'x = "a"'),
    ("x = 'a' 'b'", 'x = "ab"'),
    ("x = r'\\d'", "x = '\\\\d'"),
    ("x = f(a, b,)", "x = f(a, b)"),
    ("x = f(a,)", "x = f(a)"),
    ("x = [a,]", "x = [a]"),
    ("x = {a: b,}", "x = {a: b}"),
    ("x = (a, b,)", "x = (a, b)"),
    ("x = 1_0\ny = 0XF", "x = 10\ny = 0xf"),
    ("def f():\n  return 1", "def f():\n\n        return 1  # one"),
    ("class A:\n    x: int = 1\n    'The x.'", "class A:\n    x: int = 1"),
    ("x = a + \\\n  b", "x = a + b"),
    ("x = 1\r\n", "x = 1\n"),
]
DIFFERENT = [
    ("x = (a,)", "x = (a)"),
    ("x = y[a,]", "x = y[a]"),
    ("return_ = (a,)", "return_ = (a)"),
    ("x = (lambda a, b: a,)", "x = (lambda a, b: a)"),
    ("x = 'a'", "x = b'a'"),
    ("x = 'sa'", "x = sa"),
    ("x = 'a', 'b'", "x = 'ab'"),
    ("x = '\\0'", "x = '\\\\0'"),
    ("x = f'{a}'", "x = '{a}'"),
    ("x = f'{a}'", "x = f'{b}'"),
    ("def f():\n  if a:\n    b()\n  c()", "def f():\n  if a:\n    b()\n    c()"),
    ("def f():\n  'doc'\n  return 'doc'", "def f():\n  return 'cod'"),
    ("match x:\n  case (1,): pass", "match x:\n  case (1): pass"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_is_only_form(one, other):
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_bears_meaning(one, other):
    assert canonical(one) != canonical(other)


NAMES = st.sampled_from(["a", "b", "case", "lam"])
EXPRESSIONS = st.recursive(
    st.one_of(
        NAMES.map(ast.Name),
        st.one_of(st.integers(0, 3), st.text("ab'\"\\\n\0é", max_size=3), st.binary(max_size=2)).map(ast.Constant),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda v: ast.Tuple(v, ast.Load())),
        st.lists(inner, max_size=3).map(lambda v: ast.List(v, ast.Load())),
        st.tuples(NAMES.map(ast.Name), inner).map(lambda v: ast.Subscript(v[0], v[1], ast.Load())),
        st.tuples(NAMES.map(ast.Name), st.lists(inner, max_size=2)).map(lambda v: ast.Call(v[0], v[1], [])),
        inner.map(lambda v: ast.Lambda(ast.arguments([], [ast.arg("a"), ast.arg("b")], None, [], [], None, []), v)),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, EXPRESSIONS)
def test_equal_forms_are_equal_programs(one, other):
    texts = [ast.unparse(ast.fix_missing_locations(ast.Module([ast.Assign([ast.Name("x")], e)], []))) for e in (one, other)]
    if canonical(texts[0]) == canonical(texts[1]):
        assert ast.dump(ast.parse(texts[0])) == ast.dump(ast.parse(texts[1]))


@settings(max_examples=200, deadline=None)
@given(EXPRESSIONS)
def test_a_trailing_comma_after_the_last_of_several_means_nothing(expression):
    call = "x = f(y, " + ast.unparse(ast.fix_missing_locations(ast.Expr(expression)))
    assert canonical(f"{call},)\n") == canonical(f"{call})\n")
