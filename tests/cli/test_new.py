import csv
import io

from raypipe.cli.new import NUM_ROWS, customers


def test_the_same_customers_each_time_and_both_answers_among_them():
    rows = list(csv.DictReader(io.StringIO(customers())))
    assert customers() == customers()
    assert len(rows) == NUM_ROWS
    assert 0.2 < sum(r["left"] == "true" for r in rows) / NUM_ROWS < 0.8


def test_only_who_left_has_an_end():
    assert all((r["ended_on"] != "") == (r["left"] == "true") for r in csv.DictReader(io.StringIO(customers())))
