"""How texts are compared in searches: nothing that somebody wrote folds to nothing."""

from __future__ import annotations

import re
from unicodedata import category, normalize

import pytest

from gantry.matching import MAX_TEXT, date_key, join_element, name_keys, pattern_key, search_key, split_words, time_key

CHARACTERS = [
    chr(code)
    for code in range(0x110000)
    if not 0xD800 <= code < 0xE000 and (code % 64 == 0 or category(chr(code)) not in ("Cn", "Co"))
]
"""All that Unicode gives a meaning, and one in 64 of those that have none, which are all alike."""
DELIMITERS = frozenset(" ^=")
ACCENTS = re.compile("[\u0300-\u036f]")


def folded(text: str) -> str:
    """What every index has held for a text since its first version."""
    return normalize("NFKC", ACCENTS.sub("", normalize("NFKD", text))).casefold().strip()


@pytest.mark.slow
def test_no_character_folds_to_nothing() -> None:
    """All of Unicode: a lone U+037A, an accent or a wide space is a name like another; PS3.5 §6.2 pads with U+0020."""
    lost = [hex(ord(char)) for char in CHARACTERS if not (search_key(char) and name_keys(char) and split_words(char))]
    assert lost == [hex(ord(char)) for char in sorted(DELIMITERS)]


def test_what_folds_to_something_has_the_key_that_indexes_hold() -> None:
    changed = [hex(ord(char)) for char in CHARACTERS if (key := folded(char)) and search_key(char) != key]
    assert not changed
    sample = (char for char in CHARACTERS if char < "\u3100" or "\uf000" <= char < "\U00010800")
    for text in (f"Aé{char} B" for char in sample):
        key = folded(text)
        assert search_key(text) == key
        assert split_words(text) == list(dict.fromkeys(word for word in re.split(r"[\s^=,.\-]+", key) if word)), text


def test_a_component_that_would_fold_to_nothing_is_among_the_words() -> None:
    folding_to_nothing = [char for char in CHARACTERS if not folded(char) and char not in DELIMITERS]
    assert len(folding_to_nothing) > 100
    for char in (*folding_to_nothing, *",.-\u2026"):
        assert set(split_words(char)) <= set(split_words(f"Given^{char}=Given^Other")), hex(ord(char))
        assert set(split_words(char)) <= set(split_words(f"{char}^Given")), hex(ord(char))


@pytest.mark.parametrize("text", ["", " ", "^", "^^ =^", "="])
def test_names_of_delimiters_and_padding_are_empty(text: str) -> None:
    assert name_keys(text) == split_words(text) == []


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("Doe^Ann^^ ", ["doe^ann"]),
        ("^Ann", ["^ann"]),
        (" Doe", ["doe"]),
        ("Doe^^Y^=^=ドウ^ ", ["doe^^y", "ドウ"]),
        ("=ドウ", ["ドウ"]),
    ],
)
def test_keys_of_names_are_their_groups_without_what_is_empty_at_their_ends(name: str, keys: list[str]) -> None:
    """PS3.5 §6.2.1.1: trailing delimiters may be left out, leading ones say which component comes first."""
    assert name_keys(name) == keys


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Doe^Ann-Marie", ["doe", "ann", "marie"]),
        ("Doe - Smith^-", ["doe", "smith", "-"]),
        ("\u037a^Άννα", ["\u037a", "αννα"]),
        ("\u037a Άννα", ["\u037a", "αννα"]),
        ("\u3000^太郎=ͺ", ["\u3000", "太郎", "\u037a"]),
        ("...^X", ["...", "x"]),
    ],
)
def test_words_of_names(name: str, words: list[str]) -> None:
    """A component that has none is one itself."""
    assert split_words(name) == words


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        ("\u037a*", "\u037a*"),
        ("*\u00b4*", "*\u00b4*"),
        ("?\u0301", "?\u0301"),
        ("É*", "e*"),
        ("*é\u00b4*", "*e *"),
        ("* *", "* *"),
        ("*\u037a^*", "* ^*"),
    ],
)
def test_a_pattern_keeps_more_than_its_wildcards(pattern: str, key: str) -> None:
    assert pattern_key(pattern) == key


def test_equal_marks_have_equal_keys() -> None:
    """Canonical equivalence (Unicode §3.7)."""
    assert search_key("\u1ffd") == search_key("\u00b4") and search_key("\u0340") == search_key("\u0300")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("10:15", "1015"),
        ("10:15:30", "101530"),
        ("10:15:30.5", "101530.5"),
        (" 101530 ", "101530"),
        ("10:15:", "10:15:"),
        ("10:15-11:15", "10:15-11:15"),
    ],
)
def test_times_of_older_standards(text: str, key: str) -> None:
    """PS3.5 §6.2, note to TM."""
    assert time_key(text) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("2020.01.02", "20200102"),
        (" 2020.01.02 ", "20200102"),
        ("20200102", "20200102"),
        ("2020.1.02", "2020.1.02"),
        ("2020.01.2", "2020.01.2"),
        ("2020.01.022", "2020.01.022"),
        ("02020.01.02", "02020.01.02"),
        ("2020-01-02", "2020-01-02"),
        ("2020.01.02-2020.01.03", "2020.01.02-2020.01.03"),
    ],
)
def test_dates_of_older_standards(text: str, key: str) -> None:
    """PS3.5 §6.2, note to DA."""
    assert date_key(text) == key


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ({"vr": "PN", "Value": [{"Alphabetic": "A^B", "Ideographic": "C", "Phonetic": "D"}]}, "A^B=C=D"),
        ({"vr": "PN", "Value": [{"Alphabetic": "A"}, {"Phonetic": "D"}, {}]}, "A\\==D\\"),
        ({"vr": "LO", "Value": ["a", None, "b"]}, "a\\\\b"),
        ({"vr": "IS", "Value": [1, -2]}, "1\\-2"),
        ({"vr": "LO", "Value": ["a\r\n\tb\x00\x1fc\x7f "]}, "a bc"),
        ({"vr": "LO", "Value": ["a" * (MAX_TEXT + 1)]}, "a" * MAX_TEXT),
        ({"vr": "LO"}, ""),
        ({"vr": "LO", "Value": "text"}, ""),
        ({"vr": "OB", "InlineBinary": "AAAA"}, ""),
    ],
    ids=["groups", "names", "empty", "numbers", "controls", "long", "none", "no-list", "bytes"],
)
def test_the_text_of_an_element_of_dicom_json(element: dict[str, object], text: str) -> None:
    """PS3.18 §F.2.2: its values, as searches look for them."""
    assert join_element(element) == text
