"""raypipe: the whole life of a model on Ray, from raw files to an answered request, composed by one config."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    # writing a pipeline
    "Pipeline": "raypipe.pipeline.node",
    "Sub": "raypipe.pipeline.sub",
    "check": "raypipe.pipeline.check",
    "plan": "raypipe.pipeline.plan",
    "run": "raypipe.pipeline.run",
    "sweep": "raypipe.loop.sweep",
    "Sweep": "raypipe.config.sweep",
    # sources and what is said of their rows
    "Parquet": "raypipe.data.source.parquet",
    "Csv": "raypipe.data.source.csv",
    "JsonLines": "raypipe.data.source.jsonl",
    "Text": "raypipe.data.source.text",
    "Images": "raypipe.data.source.images",
    "Binary": "raypipe.data.source.binary",
    "HuggingFace": "raypipe.data.source.huggingface",
    "Iceberg": "raypipe.data.source.iceberg",
    "DuckLake": "raypipe.data.source.ducklake",
    "PythonSource": "raypipe.data.source.python",
    "Kafka": "raypipe.data.source.kafka",
    "Sql": "raypipe.data.source.sql",
    "Contract": "raypipe.data.contract.contract",
    "Column": "raypipe.data.contract.contract",
    # transforms
    "Select": "raypipe.data.transform.entry",
    "Derive": "raypipe.data.transform.derive",
    "Query": "raypipe.data.transform.query",
    "Drop": "raypipe.data.transform.entry",
    "Standardize": "raypipe.data.transform.scaling",
    "Impute": "raypipe.data.transform.imputing",
    "OneHot": "raypipe.data.transform.encoding",
    "Ordinal": "raypipe.data.transform.encoding",
    "Frequency": "raypipe.data.transform.encoding",
    "RobustScale": "raypipe.data.transform.scaling",
    "Clip": "raypipe.data.transform.bounding",
    "QuantileBins": "raypipe.data.transform.bounding",
    "TargetEncode": "raypipe.data.transform.target",
    "HashEncode": "raypipe.data.transform.hashing",
    "TextHash": "raypipe.data.transform.hashing",
    "CyclicDate": "raypipe.data.transform.dates",
    "ScikitLearn": "raypipe.data.transform.scikit",
    # models
    "Booster": "raypipe.train.model",
    "Mlp": "raypipe.train.model",
    "Logistic": "raypipe.train.model",
    # steps
    "Ingest": "raypipe.steps.ingest",
    "Validate": "raypipe.steps.validate",
    "Split": "raypipe.steps.split",
    "LeakCheck": "raypipe.steps.leak_check",
    "Map": "raypipe.steps.map",
    "MapBatches": "raypipe.steps.map_batches",
    "Label": "raypipe.steps.label",
    "Transform": "raypipe.steps.transform",
    "Train": "raypipe.steps.train",
    "Evaluate": "raypipe.steps.evaluate",
    "Gate": "raypipe.steps.gate",
    "Register": "raypipe.steps.register",
    "InfraValidate": "raypipe.steps.infra_validate",
    "Deploy": "raypipe.steps.deploy",
    "Predict": "raypipe.steps.predict",
    "FromTable": "raypipe.steps.from_table",
    "Aggregate": "raypipe.steps.aggregate",
    "Join": "raypipe.steps.join",
    "Distinct": "raypipe.steps.distinct",
    "Sort": "raypipe.steps.sort",
    "Window": "raypipe.steps.window",
    "Write": "raypipe.steps.write",
    "Compact": "raypipe.steps.compact",
    "Expire": "raypipe.steps.expire",
    # where it runs, what is told of it
    "Retention": "raypipe.core.retention",
    "Local": "raypipe.core.cluster",
    "Attach": "raypipe.core.cluster",
    "Debug": "raypipe.core.cluster",
    "Wandb": "raypipe.core.tracker",
    "NoTracker": "raypipe.core.tracker",
    # writing a step
    "Columns": "raypipe.core.step",
    "Look": "raypipe.core.step",
    "Made": "raypipe.core.step",
    "Ref": "raypipe.core.step",
    "Standing": "raypipe.core.step",
    "Work": "raypipe.core.step",
    "Table": "raypipe.core.artifact",
    "Report": "raypipe.core.artifact",
    "Model": "raypipe.core.artifact",
    "Evaluation": "raypipe.core.artifact",
    "Verdict": "raypipe.core.artifact",
    "Version": "raypipe.core.artifact",
    "Endpoint": "raypipe.core.artifact",
    # afterwards
    "table": "raypipe.pipeline.reach",
    "sql": "raypipe.pipeline.reach",
    "write": "raypipe.pipeline.write",
    "delete": "raypipe.pipeline.write",
    "Profile": "raypipe.data.statistics.profile",
    "model": "raypipe.pipeline.reach",
    "Client": "raypipe.serve.client",
}
"""Public name -> module. Nothing is imported before it is asked for, and an import path that names `raypipe.X` is read through this."""

__all__ = sorted(_EXPORTS)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'raypipe' has no attribute '{name}'")
    value = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
