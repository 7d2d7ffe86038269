"""Bytes that are no model of their format are refused in a line."""

import pytest

from raypipe.bundle.scorer import open_scorer
from raypipe.core.errors import DataError


@pytest.mark.parametrize(
    ("format_", "model", "message"),
    [
        ("onnx", b"nonsense", "no ONNX model that onnxruntime can run"),
        ("lightgbm", b"nonsense", "must begin with the line 'tree'"),
        ("lightgbm", b"tree\nnonsense", "no LightGBM text that can be read"),
        ("lightgbm", b"tree\n\xff\xfe", "no LightGBM text that can be read"),
        ("code", b"", "format 'code' is not run by this version"),
        ("pickle", b"", "unknown model format 'pickle'"),
    ],
)
def test_what_is_no_model_is_refused(format_: str, model: bytes, message: str):
    with pytest.raises(DataError, match=message):
        open_scorer(format_, model, 3)


def _onnx(output: str, rank: int) -> bytes:
    from onnx import TensorProto, helper

    shape = ["rows", 2][:rank]
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    node = helper.make_node("ReduceMax", ["x", "axes"], [output], keepdims=rank - 1)
    made_of = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])]
    graph = helper.make_graph([node], "g", made_of, [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    return model.SerializeToString()


def test_an_onnx_model_answers_one_probability_a_row():
    import numpy as np

    score = open_scorer("onnx", _onnx("probability", 1), 2)
    answers = score(np.array([[0.25, 0.5], [0.75, 0.5]], np.float32))
    assert (answers.dtype, answers.tolist()) == (np.float64, [0.5, 0.75])


def test_another_output_or_number_of_features_is_refused():
    with pytest.raises(DataError, match="one output, 'probability', of shape"):
        open_scorer("onnx", _onnx("label", 1), 2)
    with pytest.raises(DataError, match="takes 2 features, but its signature names 3"):
        open_scorer("onnx", _onnx("probability", 1), 3)
