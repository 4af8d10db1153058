"""Content negotiation: PS3.18 §8.7, RFC 9110 §12.5.1."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.api.accept import (
    MAX_CHARACTERS,
    MAX_RANGES,
    MediaRange,
    Offer,
    choose,
    media_type_text,
    parse_accept,
    part_type_text,
    rank,
)
from gantry.api.multipart import parse_content_type
from gantry.errors import InvalidArgument

ELE, ILE, J2K, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50"
RELATED = "multipart/related"

DICOM_PARTS = Offer("application/dicom", True, (ELE, "*", J2K), ELE)
DICOM_ONE = Offer("application/dicom", False, (ELE, "*", J2K), ELE)
OCTETS = Offer("application/octet-stream", True, (ELE, "*"), ELE)
FRAMES = Offer("image/jpeg", True, (JPEG,), JPEG)
JSON = Offer("application/dicom+json", False, (), "")
XML = Offer("application/dicom+xml", True, (), "")
JPEG_ONE, PNG_ONE = Offer("image/jpeg", False, (), ""), Offer("image/png", False, (), "")
ALL = (DICOM_PARTS, DICOM_ONE, OCTETS, FRAMES, JSON, XML, JPEG_ONE, PNG_ONE)


def chosen(accept: str, offers: tuple[Offer, ...] = ALL) -> tuple[Offer, str] | None:
    return choose(parse_accept([accept]), offers)


# --- reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("application/DICOM+json", MediaRange("application/dicom+json")),
        (f'{RELATED}; type="application/dicom"', MediaRange(RELATED, "application/dicom")),
        (f"{RELATED};type=Application/DICOM", MediaRange(RELATED, "application/dicom")),
        (
            f'Multipart/Related; TYPE="application/dicom"; transfer-syntax={ELE}',
            MediaRange(RELATED, "application/dicom", ELE),
        ),
        (
            f"{RELATED}; type=application/octet-stream; transfer-syntax=*",
            MediaRange(RELATED, "application/octet-stream", "*"),
        ),
        (
            f'{RELATED}; transfer-syntax="*"; q=0.5; type="image/*"; boundary=**',
            MediaRange(RELATED, "image/*", "*", 0.5, (("boundary", "**"),)),
        ),
        ("text/html;type=a", MediaRange("text/html", parameters=(("type", "a"),))),
        ("*", MediaRange("*/*")),
        ("* ; q=.2", MediaRange("*/*", q=0.2)),
        ('a/b;x="c,d;q=0"', MediaRange("a/b", parameters=(("x", "c,d;q=0"),))),
    ],
)
def test_ranges(text: str, expected: MediaRange) -> None:
    """PS3.18 §8.7.3.5.1, §8.7.3.5.2; RFC 9110 §5.6.4; habits of clients as the module lists them."""
    assert parse_accept([text]) == [expected]


@pytest.mark.parametrize("values", [[], [""], [" , ,"], ["", ","]])
def test_nothing_said_is_anything(values: list[str]) -> None:
    """RFC 9110 §12.5.1."""
    assert parse_accept(values) == [MediaRange("*/*")]


def test_several_headers_are_one_list() -> None:
    """RFC 9110 §5.3, §5.6.1."""
    assert parse_accept(['a/b;x="1,2", c/d,', "e/f"]) == parse_accept(['a/b;x="1,2",c/d , , e/f'])
    assert [item.type for item in parse_accept(["a/b, c/d", "e/f"])] == ["a/b", "c/d", "e/f"]


@pytest.mark.parametrize(
    ("text", "q"), [("1", 1), ("0", 0), ("0.", 0), ("1.000", 1), ("0.123", 0.123), (".9", 0.9), ('"0.5"', 0.5)]
)
def test_weights(text: str, q: float) -> None:
    """RFC 9110 §12.4.2."""
    assert parse_accept([f"a/b;q={text}"])[0].q == q


@pytest.mark.parametrize(
    "text",
    [
        *(
            "a",
            "a/",
            "/a",
            "a b",
            "a/b c",
            'a/b;x="',
            'a/b, "c/d',
            "a/b;x",
            "a/b;q=",
            "a/b;q=x",
            "a/b;q=1.1",
            "a/b;q=-0",
        ),
        *("a/b;q=2", "a/b;q=nan", "a/b;q=1e-1", "a/b;q=.", "a/b;q=٠", "a/b;q=0.5.5"),
    ],
)
def test_what_is_no_media_range_is_left_out(text: str) -> None:
    """PS3.18 §8.7.7; RFC 9110 §12.5.1, §12.4.2. A q that cannot be read could as well mean 0."""
    wrong = text.removeprefix("a/b, ")
    assert parse_accept([wrong]) == []
    assert choose([], ALL) is None
    assert parse_accept([f"image/png;q=0.5,{wrong}"]) == [MediaRange("image/png", q=0.5)]
    if wrong.count('"') % 2 == 0:
        assert parse_accept([f"{wrong},image/png;q=0.5"]) == [MediaRange("image/png", q=0.5)]


def test_limits() -> None:
    """Invariant 6. Each limit is reached and then exceeded by one."""
    assert (MAX_RANGES, MAX_CHARACTERS) == (100, 8 << 10)
    assert len(parse_accept(["a/b,"] * MAX_RANGES)) == MAX_RANGES
    with pytest.raises(InvalidArgument, match=f"{MAX_RANGES + 1} media ranges"):
        parse_accept(["a/b,"] * (MAX_RANGES + 1))
    long = "a/" + "b" * (MAX_CHARACTERS - 2)
    assert parse_accept([long]) == [MediaRange(long)]
    with pytest.raises(InvalidArgument, match=f"more than {MAX_CHARACTERS}"):
        parse_accept([long + "b"])
    with pytest.raises(InvalidArgument, match=f"more than {MAX_CHARACTERS}"):
        parse_accept(["a/b"] * 5000)


@pytest.mark.parametrize("filler", [" ", ",", ";", '"', "\\", '"\\', "a/b;", ";a", '""', "a"])
def test_no_text_takes_long(filler: str) -> None:
    """Invariant 6: regular expressions that go back and forth would take seconds for each of these."""
    start = time.process_time()
    for end in ("", '"', "\\", ";", "=", 'a/b;x="'):
        for begin in ("", "a/b", "a/b;x=", 'a/b;x="'):
            body = filler * ((MAX_CHARACTERS - 20) // len(filler))
            try:
                parse_accept([begin + body + end])
            except InvalidArgument:
                pass
    assert time.process_time() - start < 2


def test_preference() -> None:
    """RFC 9110 §12.5.1: by q, then the more specific, then as written; PS3.18 §8.7.5."""
    text = (
        f"*/*, multipart/*, {RELATED}, {RELATED};type=*/*, image/*, {RELATED};type=image/*, b/b, {RELATED};type=a/a,"
        f"a/a, c/c;transfer-syntax=*, c/c;transfer-syntax={ELE}, d/d;q=0, e/e;q=0.5, f/f;q=0.7, g/g;q=0.5, */*;q=0.7"
    )
    found = [(item.type, item.root, item.transfer_syntax) for item in parse_accept([text])]
    assert found == [
        ("c/c", "", ELE),
        ("c/c", "", "*"),
        ("b/b", "", ""),
        (RELATED, "a/a", ""),
        ("a/a", "", ""),
        ("image/*", "", ""),
        (RELATED, "image/*", ""),
        (RELATED, "", ""),
        (RELATED, "*/*", ""),
        ("multipart/*", "", ""),
        ("*/*", "", ""),
        ("f/f", "", ""),
        ("*/*", "", ""),
        ("e/e", "", ""),
        ("g/g", "", ""),
        ("d/d", "", ""),
    ]


# --- choosing


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", (DICOM_PARTS, ELE)),
        ("*/*", (DICOM_PARTS, ELE)),
        ("multipart/*", (DICOM_PARTS, ELE)),
        (RELATED, (DICOM_PARTS, ELE)),
        (f'{RELATED};type="*/*"', (DICOM_PARTS, ELE)),
        (f"{RELATED};type=application/dicom", (DICOM_PARTS, ELE)),
        ("application/dicom", (DICOM_ONE, ELE)),
        ("application/*", (DICOM_ONE, ELE)),
        (f"{RELATED};type=image/*", (FRAMES, JPEG)),
        (f"{RELATED};type=image/jpeg", (FRAMES, JPEG)),
        ("image/*", (JPEG_ONE, "")),
        ("image/png", (PNG_ONE, "")),
        (f"{RELATED};type=image/png", None),
        ("application/octet-stream", None),
        ("application/dicom+xml", None),
        (f"{RELATED};type=application/dicom+json", None),
        ("multipart/mixed", None),
        ("image/jp", None),
        ("imag/*", None),
        ("video/*", None),
    ],
)
def test_types(accept: str, expected: tuple[Offer, str] | None) -> None:
    """PS3.18 §8.7.1, §8.7.3.4, §10.4.4: a single part for a single part range alone; the default transfer syntax."""
    assert chosen(accept) == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (f"{RELATED};type=application/dicom;transfer-syntax={J2K}", (DICOM_PARTS, J2K)),
        (f"{RELATED};type=application/dicom;transfer-syntax=*", (DICOM_PARTS, "*")),
        (f"application/dicom;transfer-syntax={J2K}", (DICOM_ONE, J2K)),
        (f"{RELATED};transfer-syntax={JPEG}", (FRAMES, JPEG)),
        (f"*/*;transfer-syntax={JPEG}", (FRAMES, JPEG)),
        (f"{RELATED};type=image/jpeg;transfer-syntax=*", (FRAMES, JPEG)),
        ("application/dicom+json;transfer-syntax=*", (JSON, "")),
        (f"application/dicom+json;transfer-syntax={ELE}", None),
        (f"application/dicom;transfer-syntax={ILE}", None),
        ("application/dicom;transfer-syntax=1.2", None),
        (f"application/dicom;transfer-syntax={ILE}, application/dicom;transfer-syntax={J2K};q=0.1", (DICOM_ONE, J2K)),
    ],
)
def test_transfer_syntaxes(accept: str, expected: tuple[Offer, str] | None) -> None:
    """PS3.18 §8.7.3.5.2: one that cannot be given does not match; ``*`` takes any, as stored where that is offered."""
    assert chosen(accept) == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("image/png, image/jpeg", PNG_ONE),
        ("image/png;q=0.5, image/jpeg;q=0.6", JPEG_ONE),
        ("image/*, image/png", PNG_ONE),
        ("application/dicom+json, */*;q=0.1", JSON),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, image/avif, */*;q=0.8", DICOM_PARTS),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", JPEG_ONE),
    ],
)
def test_the_preferred_one(accept: str, expected: Offer) -> None:
    """RFC 9110 §12.5.1; the last two are what Firefox and Java send."""
    found = chosen(accept)
    assert found
    assert found[0] == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*;q=0", None),
        ("application/dicom;q=0", None),
        ("image/*, image/jpeg;q=0", (PNG_ONE, "")),
        ("image/*;q=0, image/png;q=0.1", (PNG_ONE, "")),
        ("*/*, multipart/*;q=0", (DICOM_ONE, ELE)),
        (f"*/*, {RELATED};type=application/dicom;q=0", (DICOM_ONE, ELE)),
        (f"*/*, {RELATED};q=0, application/*;q=0, image/jpeg;q=0", (PNG_ONE, "")),
        ("*/*, application/dicom;q=0", (DICOM_PARTS, ELE)),
        (f"application/dicom, application/dicom;transfer-syntax={ELE};q=0", None),
        (f"application/dicom, application/dicom;transfer-syntax={J2K};q=0", (DICOM_ONE, ELE)),
        (f"application/dicom;q=0, application/dicom;transfer-syntax={J2K}", (DICOM_ONE, J2K)),
        ("application/dicom;transfer-syntax=*, application/dicom;q=0", (DICOM_ONE, "*")),
        ("image/*, image/jpeg;q=0.1", (PNG_ONE, "")),
        ("image/*;q=0.1, image/png;q=0.2, image/jpeg;q=0.3", (JPEG_ONE, "")),
        ("image/png, image/png;q=0", (PNG_ONE, "")),
    ],
)
def test_the_more_specific_range_decides(accept: str, expected: tuple[Offer, str] | None) -> None:
    """RFC 9110 §12.5.1: the most specific range that matches has precedence, with its q; 0 is not acceptable."""
    assert chosen(accept) == expected


@pytest.mark.parametrize("accept", [RELATED, f'{RELATED}; type="*/*"', f'{RELATED}; type=""', "multipart/*"])
def test_parts_of_any_type_come_in_the_order_of_the_server(accept: str) -> None:
    """A range that names neither a type nor a transfer syntax does not ask for what is stored."""
    offers = (DICOM_PARTS, FRAMES, DICOM_ONE)
    found = rank(parse_accept([accept]), offers, (J2K,))
    assert found == [(DICOM_PARTS, ELE), (DICOM_PARTS, J2K), (DICOM_PARTS, "*"), (FRAMES, JPEG)]


def test_the_order_of_the_server_decides_within_a_range() -> None:
    """RFC 9110 §12.1: among equals the server chooses."""
    assert chosen("*/*", (PNG_ONE, JPEG_ONE)) == (PNG_ONE, "")
    assert chosen("image/*", (JPEG_ONE, PNG_ONE)) == (JPEG_ONE, "")
    assert chosen("*/*", ()) is None


ranges = st.builds(
    MediaRange,
    type=st.sampled_from(["*/*", RELATED, "multipart/*", "image/*", "image/png", "application/dicom"]),
    root=st.just(""),
    transfer_syntax=st.sampled_from(["", "*", ELE, J2K, JPEG]),
    q=st.sampled_from([0.0, 0.5, 1.0]),
) | st.builds(
    MediaRange,
    type=st.just(RELATED),
    root=st.sampled_from(["*/*", "image/*", "image/jpeg", "application/dicom"]),
    transfer_syntax=st.sampled_from(["", "*", ELE, J2K, JPEG]),
    q=st.sampled_from([0.0, 0.5, 1.0]),
)


def text_of(item: MediaRange) -> str:
    root = f';type="{item.root}"' if item.root else ""
    syntax = f";transfer-syntax={item.transfer_syntax}" if item.transfer_syntax else ""
    return f"{item.type}{root}{syntax};q={item.q}"


@given(st.lists(ranges, min_size=1, max_size=5))
def test_what_is_chosen_is_acceptable(accepted: list[MediaRange]) -> None:
    """RFC 9110 §12.5.1: ranges survive being written; what is chosen is offered, and one range alone accepts it."""
    parsed = parse_accept([", ".join(map(text_of, accepted))])
    assert sorted(map(repr, parsed)) == sorted(map(repr, accepted))
    assert [item.q for item in parsed] == sorted((item.q for item in accepted), reverse=True)
    found = choose(parsed, ALL)
    if found is not None:
        offer, syntax = found
        assert syntax in (offer.transfer_syntaxes or ("",))
        assert any(found in rank([item], [offer]) for item in accepted)


@given(st.one_of(st.text(), st.text('a/b;="\\ ,*q0.')))
def test_no_text_raises_anything_but_invalid_argument(text: str) -> None:
    """RFC 9110 §12.5.1."""
    try:
        found = parse_accept([text])
    except InvalidArgument:
        return
    assert found or text.strip(" ,")
    choose(found, ALL)


# --- writing


@pytest.mark.parametrize(
    ("offer", "syntax", "boundary", "expected"),
    [
        (DICOM_PARTS, "", "b-1", 'multipart/related; type="application/dicom"; boundary=b-1'),
        (DICOM_PARTS, "*", "b-1", 'multipart/related; type="application/dicom"; boundary=b-1'),
        (
            DICOM_PARTS,
            ELE,
            "b 1",
            f'multipart/related; type="application/dicom"; boundary="b 1"; transfer-syntax={ELE}',
        ),
        (DICOM_PARTS, "", "b/1", 'multipart/related; type="application/dicom"; boundary="b/1"'),
        (DICOM_ONE, J2K, "", f"application/dicom; transfer-syntax={J2K}"),
        (DICOM_ONE, "*", "", "application/dicom"),
        (JSON, "", "", "application/dicom+json"),
    ],
)
def test_content_types(offer: Offer, syntax: str, boundary: str, expected: str) -> None:
    """PS3.18 §8.7.3.5, §8.6.1.2.1, §8.7.9; quotes where RFC 9110 §5.6.2 wants them."""
    text = media_type_text(offer, syntax, boundary)
    assert text == expected
    assert parse_content_type(text)[1].get("boundary", "") == boundary


def test_the_content_type_of_a_part() -> None:
    """PS3.18 §8.7.9."""
    assert part_type_text(DICOM_PARTS, J2K) == f"application/dicom; transfer-syntax={J2K}"
    assert part_type_text(DICOM_PARTS, "*") == "application/dicom"


def test_parts_need_a_boundary() -> None:
    """RFC 2046 §5.1.1: boundary is required."""
    with pytest.raises(ValueError, match="boundary"):
        media_type_text(DICOM_PARTS, ELE)
