"""One fitted transform: what made the training table is what the bundle applies to a request, bit for bit."""

from pathlib import Path

import pyarrow as pa
import pytest

import raypipe as rp
from raypipe.cli.main import main


def test_the_bundles_transform_makes_the_training_table_bit_for_bit_row_by_row(churn: Path):
    table, bundle = rp.table("churn.transform"), rp.model("churn@champion")
    made = table.to_arrow()
    raw = rp.table("churn.source").to_arrow()
    features = list(bundle.signature.features)
    whole = bundle.transform(raw)
    assert whole.select(features).equals(made.select(features))
    for row in range(raw.num_rows):
        assert bundle.transform(raw.slice(row, 1)).equals(whole.slice(row, 1).combine_chunks()), f"row {row}"


def test_other_columns_go_round(churn: Path):
    made = rp.table("churn.transform").to_arrow()
    assert made["customer_id"].to_pylist() == list(range(1, 201))
    assert "left" in made.column_names


def test_it_is_fitted_on_the_training_part_only(churn: Path):
    made = rp.table("churn.transform").to_arrow(part="train")
    values = made["age"].to_numpy().astype("float64")
    assert abs(values.mean()) < 1e-6
    assert abs(values.std() - 1) < 1e-5


def test_a_column_known_afterwards_is_refused_before_anything_runs(fresh: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["run", "transform.inputs.columns=[age, ended_on]"]) == 2
    err = capsys.readouterr().err
    assert "transform.inputs" in err
    assert "'ended_on' is known only afterwards" in err


def test_a_function_of_the_users_in_the_transform(fresh: Path, capsys: pytest.CaptureFixture[str]):
    (fresh / "mine.py").write_text(
        "import pyarrow as pa\nimport pyarrow.compute as pc\n\n\ndef years(table: pa.Table) -> pa.Table:\n"
        "    return table.append_column('years', pc.divide(pc.cast(table['months'], pa.float64()), 12.0))\n"
    )
    path = fresh / "conf" / "churn.yaml"
    text = path.read_text().replace("  scale:", "  years: {_target_: mine.years}\n  scale:")
    path.write_text(text)
    assert main(["run", "cluster=debug"]) == 0
    bundle = rp.model("churn")
    assert "years" in bundle.signature.features
    (fresh / "mine.py").unlink()
    row = pa.table({"age": [30], "plan": ["pro"], "months": [24], "calls_per_month": [2.0]})
    assert rp.model("churn").transform(row)["years"].to_pylist() == [2.0]


def test_a_column_that_tells_a_rows_part_is_not_changed(fresh: Path, capsys: pytest.CaptureFixture[str]):
    path = fresh / "conf" / "churn.yaml"
    path.write_text(path.read_text().replace("key: customer_id", "key: months"))
    assert main(["run", "cluster=debug"]) == 1
    assert "the transform changes column 'months', by which the rows are split into parts" in capsys.readouterr().err
    path.write_text(path.read_text().replace("columns: [age, months, calls_per_month]}", "columns: [age, calls_per_month]}"))
    assert main(["run", "cluster=debug"]) in (0, 3)
    made, raw = rp.table("churn.transform"), rp.table("churn.source").to_arrow()
    assert made.to_arrow()["months"].equals(raw["months"])


def test_an_unknown_column(fresh: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", "transform.scale.columns=[aeg]"]) == 2
    assert "Did you mean 'age'?" in capsys.readouterr().err


def test_a_label_that_is_absent_is_told_before_anything_runs(fresh: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", "label=lefft"]) == 2
    assert "there is no column 'lefft' in 'split'. Did you mean 'left'?" in capsys.readouterr().err


def test_an_entry_that_learns_from_the_label_asks_no_request_for_it(fresh: Path):
    path = fresh / "conf" / "churn.yaml"
    lines = [line for line in path.read_text().splitlines() if "raypipe.OneHot" not in line]
    at = next(i for i, line in enumerate(lines) if line.startswith("  scale:"))
    lines.insert(at, "  mean: {_target_: raypipe.TargetEncode, columns: [plan], key: [age, months]}")
    path.write_text("\n".join(lines) + "\n")
    assert main(["run", "cluster=debug"]) in (0, 3)
    chain = rp.table("churn.transform").to_arrow()
    assert chain.schema.field("plan").type == pa.float32()
    model = rp.model("churn")
    assert "left" not in model.inputs.names
    raw = rp.table("churn.source").to_arrow()
    assert model.transform(raw.slice(3, 1))["plan"].to_pylist() == chain["plan"].slice(3, 1).to_pylist()
    assert 1 < len(set(chain["plan"].to_pylist())) <= 5 * (len(set(raw["plan"].to_pylist())) + 1)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("agee: {type: float32}", "no column 'agee' is in the table or made by the chain. Did you mean 'age'?"),
        ("age: {type: int64}", "column 'age' is float32, the contract says int64"),
        ("rate: {type: float64}, months: {type: int64}", ""),
        ("'plan=pro': {type: uint8}, ended_on: {type: date32}", ""),
    ],
)
def test_a_contract_that_no_row_can_keep_is_told_before_anything_runs(
    fresh: Path, capsys: pytest.CaptureFixture[str], columns: str, says: str
):
    path = fresh / "conf" / "churn.yaml"
    more = "  rates: {_target_: raypipe.Derive, columns: {rate: calls_per_month / age}}\n"
    more += f"  contract: {{_target_: raypipe.Contract, exact: false, columns: {{{columns}}}}}\n"
    text = path.read_text().replace("  scale:", f"{more}  scale:").replace("[age, months, calls_per_month]}", "[age, calls_per_month]}")
    path.write_text(text)
    code = main(["check"])
    assert (code, says in capsys.readouterr().err) == ((2, True) if says else (0, True))


def test_columns_of_a_table_that_is_there_already_are_known_without_a_contract(fresh: Path, capsys: pytest.CaptureFixture[str]):
    path = fresh / "conf" / "plain.yaml"
    step = "  t: {_target_: raypipe.Transform, table: source, where: mnths > 1, entries: {q: {_target_: raypipe.Drop, columns: [pln]}}}\n"
    path.write_text(f"defaults: [pipeline, _self_]\nname: plain\nsource: {{path: data/customers.csv}}\nsteps:\n{step}")
    assert main(["check", "-cn", "plain"]) == 0
    assert main(["run", "-cn", "plain", "--only", "source", "cluster=debug"]) == 0
    capsys.readouterr()
    assert main(["plan", "-cn", "plain"]) == 2
    err = capsys.readouterr().err
    assert "no column 'mnths'. Did you mean 'months'?" in err
    assert "no column 'pln'. Did you mean 'plan'?" in err
