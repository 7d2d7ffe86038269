from pathlib import Path

from raypipe.config.compose import compose
from raypipe.core.place import find_project
from raypipe.pipeline.assemble import assemble
from raypipe.pipeline.plan import Plan, open_scene, plan


def planned(folder: Path, *overrides: str, sample: float = 1.0) -> dict[str, tuple[str, str]]:
    return {s.name: (s.state, s.why) for s in plan_of(folder, *overrides, sample=sample).steps}


def plan_of(folder: Path, *overrides: str, sample: float = 1.0) -> Plan:
    composed = compose(folder / "conf", "churn", overrides)
    return plan(assemble(composed.values, (folder,)), open_scene(sample=sample, place=find_project(folder / "conf", folder)))


def test_before_the_first_run_everything_is_to_be_made(fresh: Path):
    assert {s for s, _ in planned(fresh).values()} == {"RUN"}


def test_after_a_run_nothing_is_to_do(churn: Path):
    found = plan_of(churn)
    assert found.nothing_to_do
    assert {s.name: s.standing.state for s in found.steps if s.standing} == {"register": "in place", "deploy": "recorded"}


def test_a_setting_of_training_reruns_training_and_what_follows(churn: Path):
    found = planned(churn, "train.seed=3")
    assert found["train"] == ("RUN", "seed default -> 3")
    assert found["evaluate"] == ("MAYBE", "a HIT if 'train' comes out the same")
    assert {found[n][0] for n in ("source", "validate", "split", "transform")} == {"HIT"}


def test_replicas_redeploy_and_nothing_else(churn: Path):
    found = planned(churn, "deploy.num_replicas=2")
    assert [n for n, (state, _) in found.items() if state != "HIT"] == ["deploy"]
    assert found["deploy"][1] == "num_replicas default -> 2"


def test_a_new_file_is_seen_and_named(churn: Path):
    text = (churn / "data" / "customers.csv").read_text().splitlines()
    (churn / "data" / "more.csv").write_text("\n".join([text[0], "201,40,pro,3,2.5,,true"]) + "\n")
    state, why = planned(churn, "source.path=data")["source"]
    assert state == "RUN"
    assert "files 1 -> 2" in why


def test_a_touched_file_is_the_same_file(churn: Path):
    (churn / "data" / "customers.csv").touch()
    assert planned(churn)["source"][0] == "HIT"


def test_the_contract_alone_is_validated_anew_without_reading_the_source_again(churn: Path):
    found = planned(churn, "contract.columns.age.max=100")
    assert (found["source"][0], found["validate"][0], found["split"][0]) == ("HIT", "RUN", "MAYBE")


def test_bytes_that_the_store_has_lost_are_made_again(churn: Path):
    lost = next((churn / ".raypipe" / "store").rglob("transform/*/part-*.parquet"))
    lost.unlink()
    state, why = planned(churn)["transform"]
    assert state == "RUN"
    assert f"the store has lost churn/transform/{lost.parent.name}/{lost.name}" in why


def test_a_sample_is_another_table_and_changes_nothing_in_the_world(churn: Path):
    found = planned(churn, sample=0.5)
    assert found["source"][0] == "RUN"
    assert {found[n][0] for n in ("register", "deploy")} == {"SKIP"}


def test_a_step_that_another_run_is_making_is_blocked(churn: Path):
    (step,) = [s for s in plan_of(churn, "model=booster").steps if s.name == "train"]
    assert step.fingerprint
    scene = open_scene(churn)
    lease = scene.ledger.claim(step.fingerprint, "another-run")
    state, why = planned(churn, "model=booster")["train"]
    assert state == "BLOCKED"
    assert "another-run" in why
    scene.ledger.release(lease)


def test_a_setting_that_is_changed_back_may_be_a_hit_while_an_input_is_not_there_yet(project, states):
    """`First.also` shapes its identity and not what it makes."""
    m = project.module
    assert project.run({"a": m.First(value=1), "b": m.Then(before="a", value=1)}).state == "done"
    assert project.run({"a": m.First(value=1), "b": m.Then(before="a", value=2)}).state == "done"
    back = {"a": m.First(value=1, also=1), "b": m.Then(before="a", value=1)}
    found = {s.name: (s.state, s.why) for s in plan(project.pipeline(back), project.scene).steps}
    assert found == {
        "a": ("RUN", "also default -> 1"),
        "b": ("MAYBE", "a HIT if 'a' comes out as when it was last made so (value 2.0 -> 1.0)"),
    }
    never = {**back, "b": m.Then(before="a", value=3)}
    assert plan(project.pipeline(never), project.scene).steps[1].state == "RUN"
    assert states(project.run(back)) == {"a": "RUN", "b": "HIT"}
