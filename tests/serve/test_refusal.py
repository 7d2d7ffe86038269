"""What a refusal says, and what it never repeats."""

from raypipe.serve.refusal import BadField, Refused, excerpt, refused_fields


def test_the_message_names_the_first_field_and_counts_the_rest():
    bad = [BadField(3, "hour", "string", "integer (int32)")]
    assert (
        refused_fields(bad, 1).message == "One field is not what the model takes. Record 3, 'hour': found string, expected integer (int32)."
    )
    assert refused_fields(bad, 7).message.startswith("7 fields are not")
    assert refused_fields(bad, 7).to_json()["error"]["num_bad_fields"] == 7


def test_a_refusal_without_fields_is_a_message_alone():
    assert Refused(400, "no").to_json() == {"error": {"message": "no"}}


def test_a_name_is_cut_and_made_printable():
    assert excerpt("a" * 100) == "a" * 60 + "…"
    assert excerpt("a\n\x00\ud800b") == "a???b"
