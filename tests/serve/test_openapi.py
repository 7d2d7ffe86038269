"""The OpenAPI document says what is taken and what is answered, and the endpoint keeps to it."""

import jsonschema
import pytest
from starlette.applications import Starlette

from raypipe.bundle.signature import Field, Signature
from raypipe.serve.column import column
from raypipe.serve.openapi import field_schema
from raypipe.serve.records import Form
from tests.serve.asgi import get, predict
from tests.serve.test_column import GOOD


@pytest.fixture
def document(app: Starlette) -> dict:
    return get(app, "/openapi.json").json


def schema(document: dict, name: str) -> dict:
    return {"$ref": f"#/components/schemas/{name}", "components": document["components"]}


def test_records_are_typed_by_the_signature(document: dict):
    record = document["components"]["schemas"]["Record"]
    assert record["required"] == ["distance", "hour"]
    assert record["additionalProperties"] is False
    assert record["properties"]["wind"]["type"] == ["number", "null"]
    assert (record["properties"]["hour"]["type"], record["properties"]["hour"]["maximum"]) == (["integer"], 2**31 - 1)


def test_the_example_is_answered_as_the_document_says(app: Starlette, document: dict):
    content = document["paths"]["/v1/models/flights:predict"]["post"]["requestBody"]["content"]["application/json"]
    jsonschema.validate(content["example"], schema(document, "Request"))
    reply = predict(app, content["example"])
    assert reply.status == 200
    jsonschema.validate(reply.json, schema(document, "Answer"))


def test_refusals_are_answered_as_the_document_says(app: Starlette, document: dict):
    described = document["paths"]["/v1/models/flights:predict"]["post"]["responses"]
    for body in (b"x", [{"distance": "far"}], []):
        reply = predict(app, body)
        assert str(reply.status) in described
        jsonschema.validate(reply.json, schema(document, "Error"))


def test_the_schema_refuses_what_the_endpoint_refuses(app: Starlette, document: dict):
    for body in ([{"distance": 1.0}], [{"distance": 1.0, "hour": "x"}], [], [{}], {"instances": [], "x": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(body, schema(document, "Request"))
        assert predict(app, body).status == 422


@pytest.mark.parametrize(("type_", "values"), [(type_, values) for type_, values, _ in GOOD])
def test_every_type_that_is_taken_has_a_schema_that_takes_it(type_: str, values: list):
    described = field_schema(column(Field("x", type_)))
    for value in [*values, None, *described["examples"]]:
        jsonschema.validate(value, described)
    assert Form.of(Signature((Field("x", type_),), (), "y", ("a", "b"))).columns[0].wrong(described["examples"][0]) is None


def test_what_the_contract_allowed_in_training_is_told():
    described = field_schema(column(Field("carrier", "string", allowed=("AA", "UA"))))
    assert "In training one of: AA, UA." in described["description"]
    assert described["examples"] == ["AA"]
    assert "In training from 0 to any." in field_schema(column(Field("d", "float64", min=0)))["description"]
