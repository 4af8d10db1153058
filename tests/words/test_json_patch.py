"""JSON Patch, section by section of RFC 6902 and RFC 6901. Expected documents are written by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gantry import json_patch
from gantry.errors import InvalidArgument
from gantry.json_patch import MAX_DEPTH, MAX_OPERATIONS, apply_patch, require_patch

Json = Any


def refuse(document: Json, patch: Json, *words: str) -> str:
    """The message; the document stays as it was (RFC 6902 §5)."""
    before = copy.deepcopy(document)
    with pytest.raises(InvalidArgument) as caught:
        apply_patch(document, patch)
    assert document == before
    for word in words:
        assert word in caught.value.message, caught.value.message
    return caught.value.message


def one(op: str, path: str, **more: Json) -> list[Json]:
    return [{"op": op, "path": path, **more}]


APPENDIX_A = {
    "A.1 an object member": ({"foo": "bar"}, one("add", "/baz", value="qux"), {"baz": "qux", "foo": "bar"}),
    "A.2 an array element": (
        {"foo": ["bar", "baz"]}, one("add", "/foo/1", value="qux"), {"foo": ["bar", "qux", "baz"]},
    ),
    "A.3 removing a member": ({"baz": "qux", "foo": "bar"}, one("remove", "/baz"), {"foo": "bar"}),
    "A.4 removing an element": ({"foo": ["bar", "qux", "baz"]}, one("remove", "/foo/1"), {"foo": ["bar", "baz"]}),
    "A.5 replacing": ({"baz": "qux", "foo": "bar"}, one("replace", "/baz", value="boo"), {"baz": "boo", "foo": "bar"}),
    "A.6 moving a value": (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        one("move", "/qux/thud", **{"from": "/foo/waldo"}),
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    "A.7 moving an element": (
        {"foo": ["all", "grass", "cows", "eat"]},
        one("move", "/foo/3", **{"from": "/foo/1"}),
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    "A.8 testing": (
        {"baz": "qux", "foo": ["a", 2, "c"]},
        one("test", "/baz", value="qux") + one("test", "/foo/1", value=2),
        {"baz": "qux", "foo": ["a", 2, "c"]},
    ),
    "A.10 a nested object": (
        {"foo": "bar"}, one("add", "/child", value={"grandchild": {}}), {"foo": "bar", "child": {"grandchild": {}}},
    ),
    "A.11 unknown members": ({"foo": "bar"}, one("add", "/baz", value="qux", xyz=123), {"foo": "bar", "baz": "qux"}),
    "A.14 ~ escapes": ({"/": 9, "~1": 10}, one("test", "/~01", value=10), {"/": 9, "~1": 10}),
    "A.16 an array value": (
        {"foo": ["bar"]}, one("add", "/foo/-", value=["abc", "def"]), {"foo": ["bar", ["abc", "def"]]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("example", APPENDIX_A)
def test_the_examples_of_appendix_a(example: str) -> None:
    document, patch, expected = APPENDIX_A[example]
    before = copy.deepcopy((document, patch))
    assert apply_patch(document, patch) == expected
    assert (document, patch) == before, "both arguments stay as they are"


@pytest.mark.parametrize(
    ("document", "patch", "words"),
    [
        ({"baz": "qux"}, one("test", "/baz", value="bar"), "the value there is different"),  # A.9
        ({"foo": "bar"}, one("add", "/baz/bat", value="qux"), "there is no 'baz'"),  # A.12
        ({"/": 9, "~1": 10}, one("test", "/~01", value="10"), "is different"),  # A.15
    ],
)
def test_the_errors_of_appendix_a(document: Json, patch: Json, words: str) -> None:
    refuse(document, patch, f"operation 1 of the JSON Patch '{patch[0]['op']}' '{patch[0]['path']}'", words)


_DOCUMENT: Json = {
    "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8,
}  # fmt: skip
_EVERY = [
    ("", _DOCUMENT), ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/c%d", 2), ("/e^f", 3),
    ("/g|h", 4), ("/i\\j", 5), ('/k"l', 6), ("/ ", 7), ("/m~0n", 8),
]  # fmt: skip


class TestPointers:
    """RFC 6901 §5, with the document of its examples."""

    @pytest.mark.parametrize(("path", "value"), _EVERY)
    def test_each_names_its_value(self, path: str, value: Json) -> None:
        assert apply_patch(_DOCUMENT, one("test", path, value=value)) == _DOCUMENT
        refuse(_DOCUMENT, one("test", path, value="another"), "is different")

    def test_an_empty_token_is_a_key(self) -> None:
        assert apply_patch({"": {"": 1}}, one("replace", "//", value=2)) == {"": {"": 2}}

    @pytest.mark.parametrize("path", ["foo", "foo/0", " /foo", "#/foo", "~0"])
    def test_one_that_does_not_begin_with_a_slash(self, path: str) -> None:
        refuse(_DOCUMENT, one("test", path, value=1), "does not begin with /")

    @pytest.mark.parametrize("path", ["/m~n", "/~", "/~2", "/foo~", "/~~0"])
    def test_a_tilde_that_escapes_nothing(self, path: str) -> None:
        refuse(_DOCUMENT, one("add", path, value=1), "a ~ that neither 0 nor 1 follows")

    @pytest.mark.parametrize("path", [None, 1, ["foo"], {}, True])
    def test_one_that_is_no_string(self, path: Json) -> None:
        refuse(_DOCUMENT, [{"op": "remove", "path": path}], "path is no string")
        refuse(_DOCUMENT, [{"op": "copy", "path": "/x", "from": path}], "from is no string")

    @pytest.mark.parametrize("token", ["00", "01", "-1", "+1", "1.0", "1e0", " 1", "1 ", "", "bar", "٣", "0x0"])
    def test_what_is_no_index(self, token: str) -> None:
        """RFC 6901 §4: digits without leading zeros."""
        for op in ("replace", "add", "test"):
            refuse(_DOCUMENT, one(op, f"/foo/{token}", value=1), "is no index")
        refuse(_DOCUMENT, one("remove", f"/foo/{token}"), "is no index")

    def test_the_place_behind_the_last_element_is_for_adding_alone(self) -> None:
        """RFC 6901 §4: ``-`` names an element that is not there."""
        document = {"foo": [1]}
        for op in ("replace", "test"):
            refuse(document, one(op, "/foo/-", value=1), "is no index")
            refuse(document, one(op, "/foo/1", value=1), "there is no element 1")
        refuse(document, one("remove", "/foo/-"), "is no index")
        refuse(document, one("add", "/foo/-/x", value=1), "is no index")

    def test_a_dash_and_a_number_are_keys_of_an_object(self) -> None:
        assert apply_patch({}, one("add", "/-", value=1) + one("add", "/01", value=2)) == {"-": 1, "01": 2}

    def test_more_tokens_than_any_document_has_levels(self) -> None:
        refuse({}, one("remove", "/a" * 1001), "1001 tokens")
        refuse({}, one("remove", "/a" * 1000), "there is no 'a'")


class TestAdd:
    """RFC 6902 §4.1"""

    def test_a_member_that_exists_is_replaced(self) -> None:
        assert apply_patch({"a": 1, "b": 2}, one("add", "/a", value=[3])) == {"a": [3], "b": 2}

    @pytest.mark.parametrize(
        ("index", "expected"), [("0", [9, 1, 2]), ("1", [1, 9, 2]), ("2", [1, 2, 9]), ("-", [1, 2, 9])]
    )
    def test_elements_behind_it_move(self, index: str, expected: Json) -> None:
        assert apply_patch([1, 2], one("add", f"/{index}", value=9)) == expected

    @pytest.mark.parametrize("index", ["3", "10", "9999999999999999", "99999999999999999"])
    def test_an_index_behind_the_end(self, index: str) -> None:
        refuse([1, 2], one("add", f"/{index}", value=9), index)

    @pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
    def test_the_whole_document_and_values_that_are_empty(self, value: Json) -> None:
        assert apply_patch({"a": 1}, one("add", "", value=value)) == value
        assert apply_patch({"a": 1}, one("add", "/b", value=value)) == {"a": 1, "b": value}

    @pytest.mark.parametrize("scalar", [1, "text", None, True])
    def test_nothing_can_be_added_to_a_scalar(self, scalar: Json) -> None:
        refuse({"a": scalar}, one("add", "/a/b", value=1), "'b'", "neither object nor array")

    def test_what_is_added_is_not_shared_with_the_patch(self) -> None:
        value = {"x": [1]}
        patch = one("add", "/a", value=value) + one("add", "/b", value=value) + one("add", "/a/x/-", value=2)
        assert apply_patch({}, patch) == {"a": {"x": [1, 2]}, "b": {"x": [1]}}
        assert value == {"x": [1]}


class TestRemove:
    """RFC 6902 §4.2"""

    @pytest.mark.parametrize(("index", "expected"), [("0", [2, 3]), ("1", [1, 3]), ("2", [1, 2])])
    def test_elements_behind_it_move(self, index: str, expected: Json) -> None:
        assert apply_patch([1, 2, 3], one("remove", f"/{index}")) == expected

    @pytest.mark.parametrize("path", ["/b", "/a/b", "/l/1", "/l/0/x"])
    def test_what_is_not_there(self, path: str) -> None:
        refuse({"a": {}, "l": [1]}, one("remove", path), "there is no")

    def test_the_whole_document(self) -> None:
        refuse({"a": 1}, one("remove", ""), "whole document")

    def test_a_value_member_counts_for_nothing(self) -> None:
        assert apply_patch({"a": 1}, one("remove", "/a", value=2)) == {}


class TestReplace:
    """RFC 6902 §4.3"""

    def test_an_element_and_the_whole_document(self) -> None:
        assert apply_patch([1, [2, 3]], one("replace", "/1/0", value={"x": 1})) == [1, [{"x": 1}, 3]]
        assert apply_patch({"a": 1}, one("replace", "", value=[1])) == [1]

    @pytest.mark.parametrize("path", ["/b", "/a/0", "/l/1"])
    def test_what_is_not_there(self, path: str) -> None:
        refuse({"a": {}, "l": [1]}, one("replace", path, value=1), "there is no")

    def test_null_is_a_value(self) -> None:
        assert apply_patch({"a": 1}, one("replace", "/a", value=None)) == {"a": None}
        assert apply_patch({"a": None}, one("replace", "/a", value=1)) == {"a": 1}


class TestMove:
    """RFC 6902 §4.4"""

    def test_within_an_array_the_index_counts_after_the_removal(self) -> None:
        assert apply_patch([1, 2, 3], one("move", "/2", **{"from": "/0"})) == [2, 3, 1]
        assert apply_patch([1, 2, 3], one("move", "/-", **{"from": "/0"})) == [2, 3, 1]
        assert apply_patch([1, 2, 3], one("move", "/0", **{"from": "/2"})) == [3, 1, 2]
        refuse([1, 2, 3], one("move", "/3", **{"from": "/0"}), "there is no element 3")

    def test_over_a_value_that_is_there(self) -> None:
        assert apply_patch({"a": 1, "b": 2}, one("move", "/b", **{"from": "/a"})) == {"b": 1}

    def test_to_its_own_place(self) -> None:
        assert apply_patch({"a": [1]}, one("move", "/a", **{"from": "/a"})) == {"a": [1]}
        refuse({"a": [1]}, one("move", "/b", **{"from": "/b"}), "there is no 'b'")

    @pytest.mark.parametrize(("source", "path"), [("/a", "/a/b"), ("/a", "/a/b/c"), ("", "/a"), ("/l/0", "/l/0/0")])
    def test_into_itself(self, source: str, path: str) -> None:
        refuse({"a": {"b": {}}, "l": [[1]]}, one("move", path, **{"from": source}), "into itself")

    def test_beside_a_key_that_begins_alike(self) -> None:
        assert apply_patch({"a": 1, "ab": {}}, one("move", "/ab/c", **{"from": "/a"})) == {"ab": {"c": 1}}

    def test_up_and_onto_the_whole_document(self) -> None:
        assert apply_patch({"a": {"b": 1}}, one("move", "/a", **{"from": "/a/b"})) == {"a": 1}
        assert apply_patch({"a": {"b": 1}}, one("move", "", **{"from": "/a"})) == {"b": 1}

    def test_from_nowhere(self) -> None:
        refuse({"a": 1}, one("move", "/c", **{"from": "/b"}), "there is no 'b'")


class TestCopy:
    """RFC 6902 §4.5"""

    def test_the_copy_is_another_value(self) -> None:
        patch = one("copy", "/b", **{"from": "/a"}) + one("add", "/b/0/x", value=2)
        assert apply_patch({"a": [{"x": 1}]}, patch) == {"a": [{"x": 1}], "b": [{"x": 2}]}

    def test_into_itself_and_into_an_array(self) -> None:
        assert apply_patch({"a": {"x": 1}}, one("copy", "/a/b", **{"from": "/a"})) == {"a": {"x": 1, "b": {"x": 1}}}
        assert apply_patch([1, 2], one("copy", "/1", **{"from": "/1"})) == [1, 2, 2]
        assert apply_patch({"a": 1}, one("copy", "/b", **{"from": ""})) == {"a": 1, "b": {"a": 1}}

    def test_from_nowhere(self) -> None:
        refuse({"a": [1]}, one("copy", "/c", **{"from": "/a/1"}), "there is no element 1")


_SAME = [
    (1, 1.0), (0, -0.0), (100, 1e2), ("é", "\u00e9"), (None, None), (True, True), ([1, [2]], [1, [2.0]]),
    ({"a": 1, "b": [2]}, {"b": [2], "a": 1}), ([], []), ({}, {}), (12345678901234567890, 12345678901234567890),
]  # fmt: skip
_DIFFERENT = [
    (1, True), (0, False), (0, None), ("", None), (False, None), ([], {}), ([], None), ("1", 1), (1, 2), ("a", "A"),
    ("é", "e\u0301"), ([1, 2], [2, 1]), ([1], [1, 1]), ([1, 1], [1]), ({"a": 1}, {"a": 1, "b": 1}),
    ({"a": 1, "b": 1}, {"a": 1}), ({"a": 1}, {"a": True}), ([1], [True]), ({"a": None}, {}),
    ({"a": [1]}, {"a": [2]}), (12345678901234567890, 12345678901234567891),
]  # fmt: skip


class TestEquality:
    """RFC 6902 §4.6"""

    @pytest.mark.parametrize(("there", "value"), _SAME)
    def test_the_same(self, there: Json, value: Json) -> None:
        assert apply_patch({"x": there}, one("test", "/x", value=value)) == {"x": there}

    @pytest.mark.parametrize(("there", "value"), _DIFFERENT)
    def test_different(self, there: Json, value: Json) -> None:
        refuse({"x": there}, one("test", "/x", value=value), "is different")

    def test_what_is_not_there_is_not_null(self) -> None:
        refuse({}, one("test", "/x", value=None), "there is no 'x'")


class TestOperations:
    """RFC 6902 §3, §4, §5"""

    @pytest.mark.parametrize("patch", [None, {}, {"op": "remove", "path": "/a"}, "[]", 1, True])
    def test_a_patch_that_is_no_array(self, patch: Json) -> None:
        refuse({"a": 1}, patch, "is an array of operations")
        with pytest.raises(InvalidArgument, match="is an array of operations"):
            require_patch(patch)

    @pytest.mark.parametrize(
        ("operation", "words"),
        [
            (None, "is no JSON object"),
            ("remove", "is no JSON object"),
            ([], "is no JSON object"),
            ({"path": "/a"}, "op is none of add, remove, replace, move, copy, test"),
            ({"op": "spam", "path": "/a"}, "op is none of"),
            ({"op": "ADD", "path": "/a", "value": 1}, "op is none of"),
            ({"op": ["add"], "path": "/a", "value": 1}, "op is none of"),
            ({"op": None, "path": "/a"}, "op is none of"),
            ({"op": "add", "path": "/a"}, "has no 'value'"),
            ({"op": "replace", "path": "/a"}, "has no 'value'"),
            ({"op": "test", "path": "/a"}, "has no 'value'"),
            ({"op": "move", "path": "/a"}, "has no 'from'"),
            ({"op": "copy", "path": "/a"}, "has no 'from'"),
            ({"op": "remove"}, "path is no string"),
            ({"op": "add", "value": 1}, "path is no string"),
        ],
    )
    def test_an_operation_that_is_none(self, operation: Json, words: str) -> None:
        good = {"op": "test", "path": "/a", "value": 1}
        refuse({"a": 1}, [good, operation], "operation 2 of the JSON Patch", words)
        with pytest.raises(InvalidArgument, match="operation 2 of the JSON Patch"):
            require_patch([good, operation])

    def test_what_depends_on_the_document_is_not_judged_without_one(self) -> None:
        require_patch(one("remove", "/nowhere") + one("test", "/a", value=1) + one("add", "/x/y", value=1))

    def test_all_or_none_in_their_order(self) -> None:
        patch = one("add", "/b", value=1) + one("remove", "/a") + one("test", "/a", value=1)
        assert "operation 3" in refuse({"a": 1}, patch, "there is no 'a'")
        assert apply_patch({"a": 1}, patch[:2]) == {"b": 1}

    def test_an_empty_patch_changes_nothing(self) -> None:
        document = {"a": [1]}
        made = apply_patch(document, [])
        made["a"].append(2)
        assert document == {"a": [1]}

    def test_messages_are_bounded(self) -> None:
        long = "x" * 100_000
        paths = (f"/{long}", long, f"/~{long}", f"/a/{long}", f"/b/{long}")
        patches = [one(op, path, value=1) for op in ("add", "remove", "test", long) for path in paths[1:]]
        patches += [one("remove", paths[0]), one("move", "/x", **{"from": paths[0]})]
        assert max(len(refuse({"a": [], "b": 1}, patch)) for patch in patches) < 1500


class TestBounds:
    def test_operations(self) -> None:
        step = one("replace", "/a", value=2)
        assert apply_patch({"a": 1}, step * MAX_OPERATIONS) == {"a": 2}
        refuse({"a": 1}, step * (MAX_OPERATIONS + 1), str(MAX_OPERATIONS + 1), str(MAX_OPERATIONS))

    def test_copies_that_double_the_document(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each doubles it: without a bound, 40 would fill any memory."""
        monkeypatch.setattr(json_patch, "MAX_COPIED", 1 << 16)
        patch = one("copy", "/-", **{"from": ""}) * 20
        assert "operations add more than 65536 characters" in refuse([1], patch)

    def test_all_additions_count_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(json_patch, "MAX_COPIED", 30)
        add = one("add", "/a", value="x" * 8)  # ten characters of JSON
        assert apply_patch({}, add * 3) == {"a": "x" * 8}
        refuse({}, add * 3 + one("replace", "/a", value=1), "operation 4")

    @pytest.mark.parametrize("kind", [list, dict])
    def test_depth(self, kind: type) -> None:
        def nested(levels: int) -> Json:
            value: Json = 1
            for _ in range(levels):
                value = [value] if kind is list else {"x": value}
            return value

        apply_patch({}, one("add", "/a", value=nested(MAX_DEPTH - 1)))
        refuse({}, one("add", "/a", value=nested(MAX_DEPTH + 1)), f"deeper than {MAX_DEPTH}")

    def test_depth_that_grows_by_moves(self) -> None:
        """Each operation is shallow; what they make together is not."""
        patch = [step for _ in range(700) for step in one("add", "/b", value=[]) + one("move", "/b/0", **{"from": "/a"})
                 + one("move", "/a", **{"from": "/b"})]  # fmt: skip
        refuse({"a": []}, patch, "deeper than")

    def test_a_document_that_python_cannot_read(self) -> None:
        deep: Json = []
        for _ in range(200_000):
            deep = [deep]
        with pytest.raises(InvalidArgument, match="nested too deep"):
            apply_patch(deep, [])
        with pytest.raises(InvalidArgument, match=r"operation 1 .* nested too deep"):
            apply_patch({}, one("add", "/a", value=deep))
