from raypipe.pipeline.why import difference

BEFORE = {
    "settings": {"epochs": 5, "model": {"_target_": "raypipe.train.model.Booster", "num_leaves": 31}},
    "code": {"flights:hour": "a", "flights:minute": "b"},
    "versions": {"lightgbm": "4.6"},
    "revisions": {"raypipe.steps.train.Train": 1},
    "inputs": {"table": "d1"},
    "observed": {"files": 12, "state": "s"},
}


def why(**changes) -> str:
    return difference(BEFORE, {**BEFORE, **changes}, {"table": "transform"})


def test_a_step_that_was_never_made():
    assert difference(None, BEFORE, {}) == "never made"


def test_nothing_changed():
    assert why() == ""


def test_a_setting_with_its_values():
    assert why(settings={**BEFORE["settings"], "epochs": 3}) == "epochs 5 -> 3"


def test_a_setting_of_a_component():
    model = {"_target_": "raypipe.train.model.Booster"}
    assert why(settings={"epochs": 5, "model": model}) == "model.num_leaves 31 -> default"


def test_another_component_is_told_by_its_name():
    model = {"_target_": "raypipe.train.model.Mlp"}
    assert why(settings={"epochs": 5, "model": model}) == "model Booster -> Mlp"


def test_the_function_that_changed():
    assert why(code={"flights:hour": "a", "flights:minute": "c"}) == "flights.minute changed"
    assert why(code={"flights:hour": "a"}) == "flights.minute is no longer used"


def test_a_library_and_a_revision():
    assert why(versions={"lightgbm": "4.7"}) == "lightgbm 4.6 -> 4.7"
    assert why(revisions={"raypipe.steps.train.Train": 2}) == "raypipe's Train is of a new revision"


def test_an_input_by_the_name_of_its_step():
    assert why(inputs={"table": "d2"}) == "'transform' came out different"


def test_digests_that_were_observed_are_not_told_apart_by_their_first_letters():
    before, now = {"observed": {"fit": f"{'a' * 64} {'b' * 64}"}}, {"observed": {"fit": f"{'a' * 64} {'c' * 64}"}}
    assert difference(before, {**now, "inputs": {}}, {}) == "fit is another one"


def test_a_digest_that_is_observed_now_and_was_not_before():
    none, fit = {"inputs": {}, "observed": None}, {"inputs": {}, "observed": {"fit": "a" * 64}}
    assert (difference(none, fit, {}), difference(fit, none, {})) == ("fit is given now", "fit is not given any more")


def test_what_was_observed():
    assert why(observed={"files": 13, "state": "t"}) == "files 12 -> 13; state s -> t"


def test_a_document_without_inputs_compares_the_steps_own_part():
    own = {k: v for k, v in BEFORE.items() if k not in ("inputs", "observed")}
    assert difference(BEFORE, own, {}) == ""
