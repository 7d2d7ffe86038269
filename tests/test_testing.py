"""What a user's own tests call: a contract, a transform and a whole pipeline, without touching the project's ledger."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import raypipe
from raypipe.core.errors import ConfigError, DataError
from raypipe.testing import apply_transform, assert_same_online, check_contract, run_pipeline

MINE = """\
import pyarrow as pa
import pyarrow.compute as pc


def speed(table: pa.Table) -> pa.Table:
    return table.append_column("speed", pc.divide(table["x"], 2.0))


def by_the_mean(table: pa.Table) -> pa.Table:
    return table.append_column("y", pc.subtract(table["x"], pc.mean(table["x"])))


def without_x(table: pa.Table) -> pa.Table:
    return table.drop_columns(["plan"])


class Told:
    pass
"""
ROWS = pa.table({"x": [1.0, 3.0, 5.0, None], "plan": ["basic", "pro", "basic", "plus"]})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "raypipe.toml").touch()
    (tmp_path / "own.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _untouched(tmp_path: Path):
    yield
    assert not list(tmp_path.rglob("ledger.db")), "the project has no ledger of these tests"


def test_rows_that_keep_the_contract(project: Path):
    found = check_contract(raypipe.Contract({"x": raypipe.Column("double", min=0), "plan": raypipe.Column("string")}), ROWS)
    assert (found.num_rows, found.passed) == (4, True)


def test_rows_that_break_it_are_told_with_their_rules(project: Path):
    contract = raypipe.Contract({"x": raypipe.Column("double", nulls=False, max=4), "plan": raypipe.Column("string", allowed=["basic"])})
    with pytest.raises(AssertionError) as raised:
        check_contract(contract, ROWS)
    assert str(raised.value).splitlines() == [
        "the contract is broken (4 rows looked at):",
        "column 'x': 1 of 4 rows without a value (first: rows row 4)",
        "column 'x': 1 of 4 rows above 4 (first: rows row 3: 5.0)",
        "column 'plan': 2 of 4 rows not among basic (first: rows row 2: 'pro')",
    ]


def test_files_and_frames_are_judged_too(project: Path):
    import polars as pl

    contract = raypipe.Contract({"x": raypipe.Column("double"), "plan": raypipe.Column("string")})
    pq.write_table(ROWS, project / "rows.parquet")
    assert check_contract(contract, "rows.parquet").num_rows == 4
    assert check_contract(contract, pl.from_arrow(ROWS)).num_rows == 4
    with pytest.raises(AssertionError) as raised:
        check_contract(contract, ROWS.select(["x"]))
    assert str(raised.value).splitlines() == ["the contract is broken (0 rows looked at):", "rows: column 'plan' is missing"]


def test_a_contract_is_a_value_a_file_or_a_schema_and_they_find_the_same(project: Path):
    pandera = pytest.importorskip("pandera.pandas")
    (project / "c.yaml").write_text(
        "exact: false\nmin_rows: 0\ncolumns: {x: {type: float64, min: 2, max: 4}, plan: {type: string, allowed: [basic]}}"
    )
    check = pandera.Check
    columns = {
        "x": pandera.Column(float, check.in_range(2, 4), nullable=True),
        "plan": pandera.Column(str, check.isin(["basic"]), nullable=True),
    }
    value = raypipe.Contract(
        {"x": raypipe.Column("float64", min=2, max=4), "plan": raypipe.Column("string", allowed=["basic"])}, exact=False, min_rows=0
    )
    told = []
    for contract in ("c.yaml", value, pandera.DataFrameSchema(columns)):
        with pytest.raises(AssertionError) as raised:
            check_contract(contract, ROWS)
        told.append(str(raised.value))
    assert told[0] == told[1] == told[2]
    assert told[0].count("\n") == 3
    with pytest.raises(
        ConfigError, match=r"contract is dict, expected a raypipe\.Contract, the path of one as YAML, or a schema of pandera's"
    ):
        check_contract({"x": "int64"}, ROWS)
    with pytest.raises(ConfigError, match=r"columns\.x: 'int46' is no type"):
        check_contract(raypipe.Contract({"x": raypipe.Column("int46")}), ROWS)


def test_a_transform_is_fitted_where_it_is_told_and_applied(project: Path):
    made = apply_transform({"scale": raypipe.Standardize(["x"])}, ROWS, fit_on=pa.table({"x": [0.0, 2.0], "plan": ["basic", "pro"]}))
    assert made["x"].to_pylist() == [0.0, 2.0, 4.0, None]
    assert made["plan"].equals(ROWS["plan"])


def test_one_entry_a_step_and_a_function_will_do(project: Path):
    import own  # pyright: ignore[reportMissingImports]

    assert apply_transform(own.speed, ROWS)["speed"].to_pylist() == [0.5, 1.5, 2.5, None]
    step = raypipe.Transform(where="x > 1", entries={"kinds": raypipe.OneHot(["plan"])})
    assert apply_transform(step, ROWS).num_rows == 2
    with pytest.raises(DataError, match="no column 'y'"):
        apply_transform(raypipe.Standardize(["y"]), ROWS)


def test_what_a_row_alone_becomes_is_what_it_is_in_a_batch(project: Path):
    import own  # pyright: ignore[reportMissingImports]

    entries = {"speed": own.speed, "scale": raypipe.Standardize(["x", "speed"]), "kinds": raypipe.OneHot(["plan"])}
    assert assert_same_online(entries, ROWS).num_rows == 4
    with pytest.raises(DataError, match=r"own\.by_the_mean is not row-wise: column 'y' of a row alone is"):
        assert_same_online(own.by_the_mean, ROWS)


def test_rows_that_differ_are_told(project: Path, monkeypatch: pytest.MonkeyPatch):
    from raypipe.data.transform.chain import FittedChain

    apply = FittedChain.apply

    def moody(self, rows):
        made = apply(self, rows)
        return made if rows.num_rows > 1 else made.set_column(0, "x", pa.array([-0.0], pa.float32()))

    monkeypatch.setattr(FittedChain, "apply", moody)
    with pytest.raises(AssertionError) as raised:
        assert_same_online(raypipe.Standardize(["x"]), pa.table({"x": [1.0, 3.0, 2.0]}))
    assert str(raised.value).splitlines() == [
        "a row alone is not what it is in a batch:",
        "row 1, column 'x': -0.0 alone, -1.2247449159622192 in the batch",
        "row 2, column 'x': -0.0 alone, 1.2247449159622192 in the batch",
        "row 3, column 'x': -0.0 alone, 0.0 in the batch",
    ]


def customers(num_rows: int = 300) -> pa.Table:
    draw = random.Random(1)
    calls = [draw.gammavariate(2, 1.5) for _ in range(num_rows)]
    return pa.table(
        {
            "id": pa.array(range(num_rows), pa.int64()),
            "calls": calls,
            "plan": [draw.choice(["basic", "pro"]) for _ in range(num_rows)],
            "left": [draw.random() < min(0.9, c / 6) for c in calls],
        }
    )


def shop(**changes):
    slots = {
        "source": raypipe.Parquet("data"),
        "split": raypipe.Split(by="hash", key="id", validation=0.2, test=0.2),
        "transform": {
            "inputs": raypipe.Select(["calls", "plan"]),
            "kinds": raypipe.OneHot(["plan"]),
            "scale": raypipe.Standardize(["calls"]),
        },
        "label": "left",
        "model": raypipe.Logistic(),
    }
    return raypipe.Pipeline("shop", **{**slots, **changes})


def test_a_pipeline_runs_on_rows_of_the_tests_own(project: Path):
    ran = run_pipeline(shop(), upto="transform", rows={"source": customers()})
    assert ran["source"].figures["num_rows"] == 300
    assert ran.table("transform").column_names[:3] == ["calls", "plan=basic", "plan=pro"]
    assert set(ran.tables) == {"source", "split", "transform"}
    assert 0 < ran.table("transform", part="test").num_rows < 120
    assert "source: 300 rows read, 300 written" in ran.lines
    folder = Path(ran.scene.store.root).parent
    assert folder.exists()
    del ran
    assert not folder.exists()


def test_its_own_sources_and_a_sample_of_them(project: Path):
    (project / "data").mkdir()
    pq.write_table(customers(2_000), project / "data" / "a.parquet")
    ran = run_pipeline(shop(gate=None), sample=0.3)
    assert 500 < ran["source"].figures["num_rows"] < 700
    assert ran["evaluate"].figures["rows"] == ran.table("split", part="test").num_rows
    assert ran.result.steps["register"].state == "SKIP"


def test_a_run_that_fails_is_an_assertion_with_what_was_told(project: Path):
    contract = raypipe.Contract({"calls": raypipe.Column("double", max=3)}, exact=False)
    with pytest.raises(AssertionError, match=r"column 'calls': .* rows above 3"):
        run_pipeline(shop(contract=contract), upto="transform", rows={"source": customers()})
    ran = run_pipeline(shop(contract=contract), upto="transform", rows={"source": customers()}, check=False)
    assert ran.result.exit_code == 1
    with pytest.raises(KeyError, match=r"there is no step 'sorce'"):
        ran["sorce"]
    with pytest.raises(ConfigError, match="rows of 'transform': there is no such source"):
        run_pipeline(shop(), rows={"transform": customers()})
    with pytest.raises(ConfigError, match=r"upto='trnsform': there is no such step\. Did you mean 'transform'"):
        run_pipeline(shop(), upto="trnsform")


ACTS = """\
from dataclasses import dataclass

from raypipe import Made, Ref, Standing, Table, Verdict, Work


@dataclass(frozen=True)
class Tell:
    table: Ref[Table] = Ref("transform")

    def run(self, work: Work, table: Table) -> Made[Verdict]:
        (work.project_path / "told").touch()
        return Made("0" * 64, figures={"passed": True})

    def standing(self, look, artifact, **inputs) -> Standing:
        return Standing("in place")
"""


def test_steps_that_act_on_the_world_are_left_out_unless_asked_for(project: Path):
    (project / "acts.py").write_text(ACTS)
    import acts  # pyright: ignore[reportMissingImports]

    pipeline = shop(steps={"tell": acts.Tell()})
    assert "tell" not in run_pipeline(pipeline, upto="transform", rows={"source": customers()}).result.steps
    assert not (project / "told").exists()
    assert "tell" in run_pipeline(pipeline, upto="tell", rows={"source": customers()}, effects=True).result.steps
    assert (project / "told").exists()


def test_the_config_of_a_project_runs_with_overrides(fresh: Path):
    ran = run_pipeline("conf", ["split.test=0.3"], upto="transform")
    assert ran.table("source").num_rows == 200
    assert "train" not in ran.result.steps
    with pytest.raises(ConfigError, match="overrides are of a config"):
        run_pipeline(shop(), ["split.test=0.3"])


@pytest.mark.parametrize(
    ("transform", "told"), [("scale", "transform is str"), (None, "transform is NoneType"), ({"a": 3}, "transform.a is int")]
)
def test_what_is_no_transform_is_told(project: Path, transform: object, told: str):
    with pytest.raises(ConfigError, match=f"{told}, expected an entry such as raypipe.Standardize"):
        apply_transform(transform, ROWS)
