"""The points of a sweep, from overrides in Hydra's grammar."""

from pathlib import Path

import pytest

from raypipe.cli.main import main
from raypipe.config.sweep import Sweep, at, first, points
from raypipe.core.errors import ConfigError

CONFIG = (Path("conf"), "churn")


def found(*overrides: str, **settings: object) -> list[dict[str, str]]:
    return points(overrides, Sweep(**settings), CONFIG)  # type: ignore[arg-type]


def values(text: str, **settings: object) -> list[str]:
    return [value for point in found(text, **settings) for value in point.values()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train.epochs=1,2,5", ["1", "2", "5"]),
        ("train.epochs=choice(1,2)", ["1", "2"]),
        ("train.epochs=range(1,9,step=3)", ["1", "4", "7"]),
        ("split.validation=range(0.1,0.35,step=0.1)", ["0.1", "0.2", "0.3"]),
        ("transform.scale.columns=[a,b],[a]", ["[a,b]", "[a]"]),
        ("label='one, two',three", ["'one, two'", "three"]),
        ("train.early_stopping=null,2", ["null", "2"]),
        ("train.epochs=2,2,3", ["2", "3"]),
        ("train.epochs=sort(3,1,2)", ["1", "2", "3"]),
        ("train.epochs=shuffle(3,1,2)", ["3", "1", "2"]),
    ],
)
def test_a_key_takes_several_values(text: str, expected: list[str]):
    assert values(text) == expected


def test_several_keys_make_a_grid_in_which_the_last_changes_fastest():
    grid = found("train.epochs=1,2", "seed=7", "model=booster,mlp")
    assert [tuple(point.values()) for point in grid] == [("1", "booster"), ("1", "mlp"), ("2", "booster"), ("2", "mlp")]


def test_a_point_stands_where_its_key_stood():
    overrides = ["train.epochs=1,2", "train.seed=7", "+steps.more={x:1},{x:2}"]
    (point, *_) = found(*overrides)
    assert at(overrides, point) == ["train.epochs=1", "train.seed=7", "+steps.more={x:1}"]


def test_a_sweep_may_stand_in_the_config_and_the_command_line_goes_over_it():
    over = {"train.epochs": "1,2", "train.seed": [3, 4], "model": "booster"}
    assert len(found(over=over)) == 4
    assert {point["model"] for point in found(over=over)} == {"booster"}
    assert {tuple(p) for p in found("train.seed=5,6,7", over=over)} == {("train.epochs", "model", "train.seed")}
    assert at(["train.seed=9"], found("train.seed=9", over=over)[1])[-1] == "train.seed=9"


def test_an_interval_is_drawn_from_the_same_each_time():
    drawn = values("model.learning_rate=interval(0.01,0.1)", trials=20)
    assert drawn == values("model.learning_rate=interval(0.01,0.1)", trials=20)
    assert drawn != values("model.learning_rate=interval(0.01,0.1)", trials=20, seed=1)
    assert len(set(drawn)) == 20
    assert all(0.01 <= float(value) <= 0.1 for value in drawn)


def test_more_trials_begin_with_the_same_points():
    assert values("a=interval(0,1)", trials=30)[:10] == values("a=interval(0,1)", trials=10)


def test_an_interval_of_whole_numbers_and_one_by_its_logarithm():
    assert set(values("a=int(interval(1,3))", trials=50)) == {"1", "2", "3"}
    low = [float(value) < 1e-3 for value in values("a=tag(log,interval(1e-5,1e-1))", trials=200)]
    assert 60 < sum(low) < 140


def test_trials_of_a_grid_are_some_of_its_points_none_twice():
    drawn = found("a=range(0,100)", "b=range(0,100)", trials=50)
    assert len({tuple(point.values()) for point in drawn}) == 50
    assert len(found("a=1,2", trials=50)) == 2


def test_a_group_may_try_all_of_its_options(churn: Path):
    assert {"booster", "mlp", "logistic"} <= set(values("model=glob(*)"))
    assert values("model=glob(b*)") == ["booster"]
    with pytest.raises(ConfigError, match="is no group of options"):
        values("modell=glob(*)")


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["train.epochs=3"], "nothing is swept: give a key several values"),
        (["a=interval(0,1)"], "an interval has no end of values: say how many points to draw, with --trials N"),
        (["a=interval(1,0)"], "an interval from 1.0 to 0.0, expected two numbers, the smaller one first"),
        (["a=tag(log,interval(0,1))"], "expected two numbers above 0"),
        (["a=range(5,1)"], "holds no value"),
        (["a=range(1,5,step=0)"], "must not be zero"),
        (["a=range(0,10000)"], "more than 1,000 points: draw some of them at random, with --trials N"),
    ],
)
def test_what_is_no_sweep_is_told(texts: list[str], said: str):
    with pytest.raises(ConfigError, match=said):
        found(*texts)


def test_everything_wrong_is_told_at_once():
    with pytest.raises(ConfigError) as error:
        found("a=interval(0,1)", "b=range(5,1)", trials=0)
    assert len(error.value.problems) == 2


def test_the_config_is_read_at_the_first_values():
    assert first(["a=3,4", "b=1", "c=int(interval(5,6))"], CONFIG)[:2] == ["a=3", "b=1"]


def test_settings_of_the_sweep_are_checked_with_the_config(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", "sweep.bye=evaluate.auc"]) == 2
    assert "Did you mean 'by'?" in capsys.readouterr().err
    assert main(["check", "sweep.direction=up"]) == 2
    assert main(["check", "sweep.by=evaluate.auc", "sweep.over={train.epochs: '1,2'}"]) == 0
    assert main(["check", "sweep=3"]) == 2
