from __future__ import annotations

import json

from benchmarks.claim import Claim, interleaved, main, ratio


def test_a_line_says_name_measured_bound_and_verdict():
    assert str(Claim("start", 1.5, 1.6)) == "start: 1.5 x, bound <= 1.6 x, holds"
    assert str(Claim("start", 1.7, 1.6)) == "start: 1.7 x, bound <= 1.6 x, falls short"
    assert str(Claim("feed", 0.9, 1, "rows/s", at_least=True)) == "feed: 0.9 rows/s, bound >= 1 rows/s, falls short"


def test_the_exit_status_is_1_if_one_falls_short(capsys):
    assert main(lambda quick: [Claim("a", 1, 2), Claim("b", 1, 2)], []) == 0
    assert main(lambda quick: [Claim("a", 3, 2), Claim("b", 1, 2)], []) == 1
    assert capsys.readouterr().out.count("holds") == 3


def test_json_and_quick(capsys):
    assert main(lambda quick: [Claim("a", 1.0 if quick else 9.0, 2)], ["--quick", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["holds"] is True


def test_measures_take_turns():
    order: list[str] = []
    found = interleaved(2, {"a": lambda: order.append("a") or 4.0, "b": lambda: order.append("b") or 2.0})
    assert order == ["a", "b", "b", "a"]
    assert ratio(found, "a", "b") == 2.0
