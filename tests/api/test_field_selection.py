"""The system parameters ``fields`` and ``prettyPrint`` (§1.3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gantry.api.field_selection import parse_fields, select
from gantry.errors import InvalidArgument
from tests.support.answers import refused, violated_field
from tests.support.gantry import Gantry

VALUE = {"a": 1, "b": {"c": [{"d": 2, "e": 3}, {"d": 4}], "f": {"g": 5}}, "h": [6], "@type": "t"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("", VALUE),
        (" ", VALUE),
        ("*", VALUE),
        ("a", {"a": 1}),
        ("a,h", {"a": 1, "h": [6]}),
        (" a , @type ", {"a": 1, "@type": "t"}),
        ("b/c/d", {"b": {"c": [{"d": 2}, {"d": 4}]}}),
        ("b(c(d),f)", {"b": {"c": [{"d": 2}, {"d": 4}], "f": {"g": 5}}}),
        ("b(c/e,f/g),a", {"a": 1, "b": {"c": [{"e": 3}, {}], "f": {"g": 5}}}),
        ("b.c.d", {"b": {"c": [{"d": 2}, {"d": 4}]}}),
        ("b.c(d),b/f.g", {"b": {"c": [{"d": 2}, {"d": 4}], "f": {"g": 5}}}),
        ("b/f(g)", {"b": {"f": {"g": 5}}}),
        ("b/*/g", {"b": {"c": [{}, {}], "f": {"g": 5}}}),
        ("b,b/c/d", {"b": VALUE["b"]}),
        ("b/c/d,b", {"b": VALUE["b"]}),
        ("none,a", {"a": 1}),
        ("none", {}),
        ("a/x", {}),
    ],
)
def test_what_is_selected(fields: str, expected: Any) -> None:
    assert select(VALUE, parse_fields(fields)) == expected


@pytest.mark.parametrize(
    "fields",
    [
        *(",", "a,", ",a", "a,,b", "a/", "/a", "a//b", "a(", "a()", "a(b", "a)", "(a)", "a(b))", "a(b)c", "a(b)/c"),
        *("a b", "a;b", "a..b", "a.", ".a", "a(,b)", "a(b,)", "é(", "a" * 5000, ",".join("a" * 101), "a(" * 1000),
    ],
)
def test_what_is_not_understood_is_refused(fields: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_fields(fields)
    assert caught.value.message.startswith("fields: ")
    assert len(caught.value.message) < 200


def test_answers_hold_the_fields_that_were_asked_for(gantry: Gantry) -> None:
    listed = gantry.call("GET", f"v1/{gantry.dataset}/dicomStores", params={"fields": "dicomStores/name"})
    assert listed == {"dicomStores": [{"name": gantry.store}]}
    operations = gantry.call("GET", f"v1/{gantry.dataset}/operations?fields=operations(done,metadata/apiMethodName)")
    (operation,) = operations["operations"]
    assert operation.keys() == {"done", "metadata"} and operation["metadata"].keys() == {"apiMethodName"}


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_bad_fields_are_refused_before_anything_is_done(gantry: Gantry, verb: str) -> None:
    path = f"v1/{gantry.dataset}/dicomStores"
    response = gantry.request(verb, path, params={"dicomStoreId": "new", "fields": "name("})
    assert violated_field(refused(response, "INVALID_ARGUMENT")) == "fields"
    refused(gantry.request("GET", f"{path}/new"), "NOT_FOUND")


@pytest.mark.parametrize("name", ["fields", "$fields", "$.fields"])
def test_fields_by_every_name(gantry: Gantry, name: str) -> None:
    """Google's page "System parameters" has them with a ``$`` before them, too."""
    listed = gantry.call("GET", f"v1/{gantry.dataset}/operations", params={name: "operations.done"})
    assert listed == {"operations": [{"done": True}]}


@pytest.mark.parametrize("name", ["prettyPrint", "pretty_print", "$prettyPrint", "$.prettyPrint"])
def test_an_answer_on_one_line(gantry: Gantry, name: str) -> None:
    text = gantry.request("GET", f"v1/{gantry.store}?{name}=false").text
    assert text == json.dumps({"name": gantry.store}, separators=(",", ":")) + "\n"
    for query in ("", f"?{name}=true"):
        assert "\n  " in gantry.request("GET", f"v1/{gantry.store}{query}").text


def test_the_discovery_document_lists_what_is_there(gantry: Gantry) -> None:
    document = gantry.call("GET", "$discovery/rest?version=v1")
    assert "batchPath" not in document
    listed = document["parameters"]
    assert {"fields", "prettyPrint"} <= listed.keys() and listed["alt"]["enum"] == ["json"]
    for name in ("callback", "uploadType", "upload_protocol"):  # accepted; none of them changes anything
        assert name not in listed
        assert gantry.request("GET", f"v1/{gantry.store}?{name}=x").text.startswith("{")
    refused(gantry.request("POST", "batch"), "NOT_FOUND")


@pytest.mark.parametrize("resource", ["dataset", "store"])
def test_what_is_not_implemented_says_first_what_to_do(gantry: Gantry, resource: str) -> None:
    """gcloud repeats such a call for half a minute and then shows the message."""
    name = getattr(gantry, resource)
    refused(gantry.request("POST", f"v1/{name}:deidentify", json={}), "UNIMPLEMENTED", "de-identify the files before")
    listed = gantry.request("GET", f"v1/{gantry.dataset}/operations?returnPartialSuccess=true")
    assert refused(listed, "UNIMPLEMENTED")["message"].startswith("leave returnPartialSuccess out")
    body = {"bigqueryDestination": {"tableUri": "bq://p.d.t"}}
    export = gantry.request("POST", f"v1/{gantry.store}:export", json=body)
    assert "its setting bigquery can name a directory" in refused(export, "FAILED_PRECONDITION")["message"].lower()
