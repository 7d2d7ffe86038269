from raypipe.core.errors import Problem
from raypipe.pipeline.graph import downstream, edge_problems, order
from raypipe.pipeline.node import Node


def nodes(**reads: str) -> dict[str, Node]:
    return {name: Node("t", {}, {f"in{i}": r for i, r in enumerate(filter(None, refs.split(",")))}) for name, refs in reads.items()}


def test_each_step_comes_after_what_it_reads_and_otherwise_as_written():
    assert order(nodes(c="a", a="", b="", d="c,b")) == ["a", "b", "c", "d"]


def test_a_missing_step_is_told_with_the_nearest_name():
    problems = edge_problems(nodes(source="", split="sorce"))
    assert problems == [Problem("split.in0", "there is no step 'sorce'. Did you mean 'source'?")]


def test_a_cycle_names_its_steps():
    (problem,) = edge_problems(nodes(a="c", b="a", c="b", d="a"))
    assert "'a' reads 'c'" in problem.what
    assert "'c' reads 'b'" in problem.what
    assert "'d'" not in problem.what


def test_a_step_that_reads_itself():
    assert edge_problems(nodes(a="a")) == [Problem("a.in0", "the step reads itself.")]
    assert edge_problems({"a": Node("t", {}, {}, ("a",))}) == [Problem("execution.a.when", "the step reads itself.")]


def test_a_cycle_by_a_condition_says_so():
    (problem,) = edge_problems({"a": Node("t", {}, {}, ("b",)), "b": Node("t", {}, {"in0": "a"})})
    assert "'a' reads 'b' (its condition `when`)" in problem.what
    assert "'b' reads 'a' (in0)" in problem.what


def test_downstream_is_transitive():
    assert downstream(nodes(a="", b="a", c="b", d=""), "a") == {"b", "c"}


def test_a_thousand_steps_in_a_row():
    chain = {f"s{i}": Node("t", {}, {"table": f"s{i - 1}"} if i else {}) for i in range(1000)}
    assert edge_problems(chain) == []
    assert order(chain)[-1] == "s999"
