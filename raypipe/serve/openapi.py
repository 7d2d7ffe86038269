"""The endpoint's OpenAPI 3.1 document, built from the served model's signature."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.data.types import value_type
from raypipe.serve.column import Column
from raypipe.serve.served import Served


def openapi(served: Served, root_path: str = "") -> Json:
    """Paths, typed request and answer, error answers, and the signature's own example where the bundle keeps one."""
    name = served.desired.name
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": str(served.desired.version), "description": _description(served)},
        **({"servers": [{"url": root_path}]} if root_path else {}),
        "paths": {
            f"/v1/models/{name}:predict": {"post": _predict(served)},
            f"/v1/models/{name}": {"get": _get("describe", "The model that answers, with its signature.", _json("An object.", _OBJECT))},
            "/healthz": {"get": _get("healthz", "Whether the process is alive.", _json("It is.", _OBJECT))},
            "/readyz": {
                "get": _get("readyz", "Whether a model answers.", _json("It does.", _OBJECT), {"503": _json("None does.", _OBJECT)})
            },
            "/metrics": {"get": _get("metrics", "Counts, for Prometheus.", _text("Prometheus text."))},
        },
        "components": {"schemas": _schemas(served)},
    }


def record_schema(served: Served) -> Json:
    """JSON schema of one record."""
    columns = served.form.columns
    required = [c.name for c in columns if not c.field.nullable]
    schema = {"type": "object", "properties": {c.name: field_schema(c) for c in columns}, "additionalProperties": False, "minProperties": 1}
    return schema | ({"required": required} if required else {})


def _description(served: Served) -> str:
    negative, positive = served.bundle.signature.classes
    answer = f"Answers '{positive}' from a probability of {served.bundle.threshold:g} on, else '{negative}'."
    return f"{answer} Made by run {served.desired.model.run}."


def _predict(served: Served) -> Json:
    limits = served.desired.limits
    refusals = {
        "400": "The body is not JSON.",
        "408": f"The body did not arrive within {limits.body_wait_s:g} s.",
        "413": f"More than {limits.body_bytes} bytes or {limits.num_rows} records.",
        "415": "The body is not of type application/json.",
        "422": "A field is not what the model takes; all are listed.",
        "500": "The model failed; the message holds the id under which the log tells why.",
        "503": "No model is loaded.",
    }
    body: Json = {"schema": {"$ref": "#/components/schemas/Request"}}
    if example := served.example():
        body["example"] = {"instances": [example]}
    return {
        "operationId": "predict",
        "summary": f"Predict '{served.bundle.signature.label}' for each record.",
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "200": _json("A prediction for each record, in order.", {"$ref": "#/components/schemas/Answer"}),
            **{code: _json(text, {"$ref": "#/components/schemas/Error"}) for code, text in refusals.items()},
        },
    }


def _schemas(served: Served) -> Json:
    records = {"type": "array", "items": {"$ref": "#/components/schemas/Record"}, "minItems": 1, "maxItems": served.desired.limits.num_rows}
    wrapped = {"type": "object", "properties": {"instances": records}, "required": ["instances"], "additionalProperties": False}
    return {
        "Record": record_schema(served),
        "Request": {"oneOf": [wrapped, records]},
        "Answer": _answer(served),
        "Error": _ERROR,
    }


def _answer(served: Served) -> Json:
    classes = list(served.bundle.signature.classes)
    prediction = _object(
        {"class": {"enum": classes}, "probability": {"type": "number", "minimum": 0, "maximum": 1, "description": f"Of '{classes[1]}'."}}
    )
    model = {
        "name": {"type": "string"},
        "version": {"type": "integer"},
        "run": {"type": "string", "description": "The run that trained it."},
        "snapshot": {"type": ["integer", "null"], "description": "The snapshot of the table that it was trained on."},
        "threshold": {"type": "number"},
        "classes": {"type": "array", "items": {"type": "string"}},
    }
    return _object({"predictions": {"type": "array", "items": prediction}, "model": _object(model)})


def field_schema(column: Column) -> Json:
    """JSON schema of one field. What the contract allowed in training is told, not enforced: the transform settles the unseen."""
    field, json_type = column.field, _json_type(column.type)
    described = f"{column.expected}." + (f" In training one of: {', '.join(map(str, field.allowed))}." if field.allowed else "")
    low, high = (None if v is None else v for v in (field.min, field.max))
    if low is not None or high is not None:
        described += f" In training from {'any' if low is None else low} to {'any' if high is None else high}."
    type_ = {"type": [*json_type["type"], "null"] if field.nullable else json_type["type"]}
    return {**json_type, **type_, "description": described, "examples": [field.allowed[0] if field.allowed else column.kind.example]}


def _json_type(type_: pa.DataType) -> Json:
    type_ = value_type(type_)
    if pa.types.is_boolean(type_):
        return {"type": ["boolean"]}
    if pa.types.is_integer(type_):
        signed = pa.types.is_signed_integer(type_)
        bits = type_.bit_width - signed
        return {"type": ["integer"], "minimum": -(2**bits) if signed else 0, "maximum": 2**bits - 1}
    if pa.types.is_floating(type_):
        return {"type": ["number"]}
    if pa.types.is_decimal(type_):
        return {"type": ["number", "string"]}
    if pa.types.is_timestamp(type_) and type_.tz is not None:
        return {"type": ["string"], "format": "date-time"}
    return {"type": ["string"]} | ({"format": "date"} if pa.types.is_date(type_) else {})


def _get(operation: str, summary: str, answer: Json, others: dict[str, Json] | None = None) -> Json:
    return {"operationId": operation, "summary": summary, "responses": {"200": answer, **(others or {})}}


def _json(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _text(description: str) -> Json:
    return {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}


def _object(properties: dict[str, Any]) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


_OBJECT = {"type": "object"}

_ERROR = _object(
    {
        "error": {
            "type": "object",
            "required": ["message"],
            "properties": {
                "message": {"type": "string"},
                "request": {"type": "string", "description": "The request's id, where the server failed."},
                "num_bad_fields": {"type": "integer"},
                "fields": {
                    "type": "array",
                    "items": _object({"row": {"type": "integer"}, **{key: {"type": "string"} for key in ["field", "found", "expected"]}}),
                },
            },
        }
    }
)
