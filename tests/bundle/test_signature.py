"""A signature is JSON and back."""

import json

from raypipe.bundle.signature import Field, Signature


def test_a_signature_is_json_and_back():
    fields = (Field("origin", "string", False, allowed=("EWR", "JFK")), Field("wind", "double", True, None, 0.0, 60.0))
    signature = Signature(fields, ("wind", "origin=EWR"), "late", ("on time", "late"), "true")
    assert Signature.from_json(json.loads(json.dumps(signature.to_json()))) == signature
