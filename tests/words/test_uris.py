"""``gs://`` addresses and the wildcards of an import, as the API's pages word them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.errors import InvalidArgument
from gantry.storage.uris import StorageUri, UriPattern, name_of_bucket, parse_bucket, parse_prefix

# pattern after gs://b/, keys that it names, keys that it does not name
MATCHES = [
    ("d/Example*.dcm", ["d/Example.dcm", "d/Example22.dcm"], ["d/e/Example1.dcm", "d/Example/1.dcm", "Example.dcm"]),
    ("d/**.dcm", ["d/a.dcm", "d/e/f.dcm", "d/.dcm"], ["d/a.DCM", "e/a.dcm", "d.dcm", "d/a.dcm.gz"]),
    ("d/Example?.dcm", ["d/Example1.dcm", "d/Exampleé.dcm"], ["d/Example.dcm", "d/Example01.dcm", "d/Example/.dcm"]),
    ("d/**", ["d/a", "d/a/b/c", "d/"], ["d", "da", "e/d/a"]),
    ("*.dcm", ["a.dcm", ".dcm"], ["d/a.dcm", "a.DCM"]),
    ("d/*", ["d/a", "d/"], ["d/a/b", "d", "d/a/"]),
    ("**", ["a", "a/b", "/", "a\nb"], []),
    ("*/x/?.dcm", ["a/x/1.dcm", "/x/1.dcm"], ["x/1.dcm", "a/b/x/1.dcm", "a/x/12.dcm"]),
    ("d**", ["d", "d/a", "da", "da/b"], ["e", "e/d"]),
    ("d/**.tar.gz", ["d/a.tar.gz", "d/e/.tar.gz"], ["d/a.tar", "d/a.gz"]),
    ("d", ["d"], ["d/", "d/a", "dd"]),
    ("d/", ["d/"], ["d", "d/a"]),
    ("a.dcm", ["a.dcm"], ["abdcm", "A.dcm"]),
    ("a*b*c", ["abc", "a1b2c"], ["a/bc", "ab/c"]),
    ("??", ["ab", "é~"], ["a", "abc", "a/"]),
]


@pytest.mark.parametrize(("pattern", "named", "others"), MATCHES)
def test_a_pattern_names_exactly_these_objects(pattern: str, named: list[str], others: list[str]) -> None:
    parsed = UriPattern.parse(f"gs://b/{pattern}")
    assert [key for key in named + others if parsed.matches(key)] == named


@pytest.mark.parametrize(
    "pattern",
    [
        *("d/**/x.dcm", "d/*/**", "**/?.dcm", "d/**a*", "***"),
        *("****", "**/**", "?**", "**a", "**.", "**..dcm", "**.d/c", "**.d*"),
    ],
)
def test_two_stars_stand_at_the_end_alone(pattern: str) -> None:
    with pytest.raises(InvalidArgument):
        UriPattern.parse(f"gs://b/{pattern}")


@pytest.mark.parametrize(
    "text",
    [
        *("gs://b", "gs://b/", "gs://", "gs:///a", "", "b/a", "gs:/b/a", "GS://b/a", "gs:b"),
        *("http://b/a", "https://b/a", "s3:/b/a", "S3://b/a", "gcs://b/a", "abfs://b/a", "file:///b/a"),
        *("gs://b*/a", "gs://b?/a", "gs://*/a", "gs://**"),
    ],
)
def test_every_other_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        UriPattern.parse(text)


@pytest.mark.parametrize("scheme", ["gs", "s3", "az"])
def test_the_address_of_a_bucket_keeps_its_scheme(scheme: str) -> None:
    """Whether there is such a bucket is a question to the settings."""
    assert StorageUri.parse(f"{scheme}://b/a//b") == StorageUri(f"{scheme}://b", "a//b")
    assert str(parse_prefix(f"{scheme}://b/a")) == f"{scheme}://b/a/"
    assert str(UriPattern.parse(f"{scheme}://b/a/*.dcm")) == f"{scheme}://b/a/*.dcm"


@pytest.mark.parametrize(
    ("text", "address"), [("b", "gs://b"), ("gs://b", "gs://b"), ("s3://b", "s3://b"), ("az://a-b", "az://a-b")]
)
def test_a_bucket_may_be_named_without_gs(text: str, address: str) -> None:
    assert parse_bucket(text) == address
    assert parse_bucket(name_of_bucket(address)) == address


@pytest.mark.parametrize("text", ["", "b/", "b/a", "gs://b/", "s3://", "file://b", "../b", "b/..", "B", "gs://*"])
def test_what_is_not_the_name_of_a_bucket(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_bucket(text)


@pytest.mark.parametrize("bucket", ["b*", "?", "*"])
def test_wildcards_in_the_name_of_a_bucket_are_named(bucket: str) -> None:
    with pytest.raises(InvalidArgument, match="wildcards are allowed in the object name only"):
        UriPattern.parse(f"gs://{bucket}/key")


@pytest.mark.parametrize("bucket", ["b", "my-bucket", "a.b.c", "a_b", "0", "a" * 222])
def test_bucket_names_that_exist(bucket: str) -> None:
    assert StorageUri.parse(f"gs://{bucket}/key") == StorageUri(f"gs://{bucket}", "key")


@pytest.mark.parametrize(
    "bucket", ["B", "a..b", "..", ".", ".a", "a.", "-a", "a-", "é", "a b", "a\n", "a" * 223, "a\\b"]
)
def test_bucket_names_that_would_leave_their_directory_or_cannot_exist_are_refused(bucket: str) -> None:
    with pytest.raises(InvalidArgument):
        StorageUri.parse(f"gs://{bucket}/key")


@pytest.mark.parametrize(
    "key", ["a[1].dcm", "{a,b}", "a\\*", "a%2Fb", "%41", "a#b", "a//b", "/a", "../a", "é b", "a:b"]
)
def test_everything_but_wildcards_is_literal(key: str) -> None:
    pattern = UriPattern.parse(f"gs://b/{key}")
    assert pattern.pattern == key
    assert pattern.matches(key.replace("*", "x"))
    assert not pattern.matches(key + "x") or key.endswith("*")
    assert StorageUri.parse(f"gs://b/{key}").key == key


def test_brackets_braces_backslashes_and_percent_have_no_meaning() -> None:
    assert not UriPattern.parse("gs://b/[a-c].dcm").matches("b.dcm")
    assert not UriPattern.parse("gs://b/{a,b}.dcm").matches("a.dcm")
    assert not UriPattern.parse("gs://b/\\*.dcm").matches("*.dcm")
    assert UriPattern.parse("gs://b/\\*.dcm").matches("\\x.dcm")
    assert not UriPattern.parse("gs://b/a%20b").matches("a b")


def test_composed_and_decomposed_letters_are_different_keys() -> None:
    composed, decomposed = (unicodedata.normalize(form, "é.dcm") for form in ("NFC", "NFD"))
    assert UriPattern.parse(f"gs://b/{composed}").matches(composed)
    assert not UriPattern.parse(f"gs://b/{composed}").matches(decomposed)
    assert UriPattern.parse(f"gs://b/{decomposed}").pattern == decomposed
    assert not UriPattern.parse("gs://b/?.dcm").matches(decomposed)


def test_nul_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        StorageUri.parse("gs://b/a\0b")


def test_a_key_has_1024_bytes_at_most() -> None:
    assert UriPattern.parse("gs://b/" + "é" * 512).pattern == "é" * 512
    with pytest.raises(InvalidArgument):
        UriPattern.parse("gs://b/" + "é" * 512 + "a")


@pytest.mark.parametrize(
    ("pattern", "prefix", "depth", "has_wildcard"),
    [
        ("d/e/a*.dcm", "d/e/a", 2, True),
        ("d/?/a", "d/", 2, True),
        ("d/**.dcm", "d/", None, True),
        ("**", "", None, True),
        ("*", "", 0, True),
        ("*/a/b", "", 2, True),
        ("d/a.dcm", "d/a.dcm", 1, False),
    ],
)
def test_what_a_listing_can_be_narrowed_to(pattern: str, prefix: str, depth: int | None, has_wildcard: bool) -> None:
    parsed = UriPattern.parse(f"gs://b/{pattern}")
    assert (parsed.prefix, parsed.depth, parsed.has_wildcard) == (prefix, depth, has_wildcard)


def test_an_address_prints_as_it_was_read() -> None:
    for text in ("gs://b/a b/é*.dcm", "gs://b/d/**.dcm"):
        assert str(UriPattern.parse(text)) == text
    assert str(StorageUri.parse("gs://b/a//b")) == "gs://b/a//b"


@pytest.mark.parametrize(
    ("text", "key"), [("gs://b", ""), ("gs://b/", ""), ("gs://b/d", "d/"), ("gs://b/d/", "d/"), ("gs://b/d/e", "d/e/")]
)
def test_a_destination_is_a_bucket_or_a_directory(text: str, key: str) -> None:
    assert parse_prefix(text) == StorageUri("gs://b", key)


@pytest.mark.parametrize("text", ["gs://b/*", "gs://b/d/?", "gs://b/**", "http://b/d", "gs://b*"])
def test_a_destination_holds_no_wildcard(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_prefix(text)


LETTERS = "ab/.[]{}\\%^$+|(é\n"
PIECES = st.lists(st.sampled_from([*LETTERS, "*", "?"]), max_size=8).map("".join).filter(lambda text: "**" not in text)
FREE = st.builds(
    lambda head, extension: f"{head}**{extension}", st.text(LETTERS, max_size=4), st.sampled_from(["", ".a", ".a.b"])
)


@st.composite
def patterns_and_keys(draw: st.DrawFn) -> tuple[str, str]:
    """A valid pattern and a key that was made from it, sometimes with one character changed."""
    pattern = draw((PIECES | FREE).filter(bool))
    key = ""
    for piece in pattern.replace("**", "\0"):
        texts = {"\0": st.text(LETTERS, max_size=4), "*": st.text(LETTERS, max_size=3), "?": st.sampled_from(LETTERS)}
        key += draw(texts.get(piece, st.just(piece)))
    if draw(st.booleans()):
        cut = draw(st.integers(0, len(key)))
        key = key[:cut] + draw(st.text(LETTERS, max_size=1)) + key[cut + draw(st.integers(0, 1)) :]
    return pattern, key


def slow_match(pattern: str, key: str) -> bool:
    """The three wildcards spelled out, one character at a time."""
    if not pattern:
        return not key
    if pattern.startswith("**"):
        return any(slow_match(pattern[2:], key[cut:]) for cut in range(len(key) + 1))
    if pattern[0] == "*":
        return any(slow_match(pattern[1:], key[cut:]) for cut in range(len(key) + 1) if "/" not in key[:cut])
    if not key or (key[0] == "/" if pattern[0] == "?" else key[0] != pattern[0]):
        return False
    return slow_match(pattern[1:], key[1:])


@given(patterns_and_keys())
def test_matching_agrees_with_a_matcher_that_only_follows_the_words(drawn: tuple[str, str]) -> None:
    pattern, key = drawn
    parsed = UriPattern.parse(f"gs://b/{pattern}")
    assert parsed.matches(key) == slow_match(pattern, key)


@given(patterns_and_keys())
def test_every_match_is_found_below_the_prefix_and_at_the_depth(drawn: tuple[str, str]) -> None:
    pattern, key = drawn
    parsed = UriPattern.parse(f"gs://b/{pattern}")
    if slow_match(pattern, key):
        assert key.startswith(parsed.prefix)
        assert parsed.depth in (None, key.count("/"))


@pytest.mark.timeout(20)
def test_many_stars_cannot_make_matching_endless() -> None:
    pattern = UriPattern.parse("gs://b/" + "*a" * 16 + "*.dcm")
    assert not pattern.matches("a" * 200)
    assert pattern.matches("a" * 200 + ".dcm")


@pytest.mark.parametrize("key", ["http://h/x", "a://b", "gs://b/c", "a:b"])
def test_a_key_may_hold_what_looks_like_a_scheme(key: str) -> None:
    """Only the first ``://`` is that of the address."""
    assert StorageUri.parse(f"gs://bucket/{key}") == StorageUri("gs://bucket", key)
    assert UriPattern.parse(f"gs://bucket/{key}").matches(key)


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [("a*b*c", "abc", True), ("a*b*c", "axbxc", True), ("a*b*c", "abbcbc", True), ("a*b*c", "ac", False),
     ("a*b*c", "acb", False), ("a*b*c", "acbx", False), ("a*b*c", "xabc", False), ("a*b*c", "abcx", False),
     ("*a*", "a", True), ("*a*", "b", False), ("a*a", "a", False), ("a*a", "aa", True), ("a?*c", "ac", False)],
)  # fmt: skip
def test_every_piece_between_stars_is_there_in_its_order(pattern: str, key: str, expected: bool) -> None:
    assert UriPattern.parse(f"gs://bucket/{pattern}").matches(key) is expected


@pytest.mark.parametrize(("key", "words"), [("a\ud800", "not valid Unicode"), ("a\0b", "NUL")])
def test_keys_that_no_object_can_have_are_refused(key: str, words: str) -> None:
    for parse in (StorageUri.parse, UriPattern.parse, parse_prefix):
        with pytest.raises(InvalidArgument, match=words):
            parse(f"gs://bucket/{key}")


@pytest.mark.parametrize("more", [0, 1])
def test_a_pattern_has_as_many_bytes_as_a_key_at_most(more: int) -> None:
    text = f"gs://bucket/{'é' * 511}{'x' * (2 + more)}"
    if not more:
        assert UriPattern.parse(text).pattern.endswith("xx")
        return
    with pytest.raises(InvalidArgument, match="longer than 1024 bytes"):
        UriPattern.parse(text)


def test_azure_counts_characters() -> None:
    assert len(UriPattern.parse(f"az://bucket/{'é' * 1024}").pattern) == 1024
    with pytest.raises(InvalidArgument, match="longer than 1024 characters"):
        UriPattern.parse(f"az://bucket/{'é' * 1025}")
