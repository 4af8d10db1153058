"""DICOM JSON beside pydicom's ``Dataset.to_json_dict``, file by file; what may differ has its reason here.

``test_corpus.py`` compares the same over HTTP; here no server stands between, so every file is judged, also those that
share their UIDs. The files that tests make are compared with what is in them, as pydicom cannot read them all.
"""

from __future__ import annotations

import json
import struct
import warnings
from typing import Any

import pytest

from gantry.dicom.json_model import dicom_json
from tests.dicomweb.test_corpus import differences, reference
from tests.support.datasets import EXPLICIT_UID, FILES, dataset, part10
from tests.support.files import accepted, content, header_bytes_of, parameters, real_names
from tests.support.plain_reader import EXPLICIT, Element, PlainFile, read_file
from tests.support.server import Json

# Where pydicom is at fault -------------------------------------------------------------------------------------------

ESCAPE = "\x1b"


def fault_of_pydicom(ours: Json, theirs: Json | None) -> str:
    """Why a difference is none of ours; "" where it is not known to be pydicom's."""
    text = json.dumps(theirs)
    if json.dumps(ESCAPE)[1:-1] in text and json.dumps(ESCAPE)[1:-1] not in json.dumps(ours):
        return "it leaves escape sequences of ISO 2022 IR 58 and IR 203 in text (PS3.5 §6.1.2.5, §K.2)"
    if theirs and "\ufffd" in json.dumps(theirs, ensure_ascii=False) and ours["vr"] == theirs["vr"]:
        return "it reads another character set than the file has, and says that it could not"
    return ""


def parsed(data: bytes) -> Json:
    found: Json = json.loads(dicom_json(header_bytes_of(data), "u"))
    return found


@pytest.mark.parametrize("name", parameters(*real_names()))
def test_real_files(name: str) -> None:
    data = content(name)
    ours, theirs = parsed(data), _reference(data)
    unexplained = [text for text in differences(ours, theirs) if not _is_fault(text, ours, theirs)]
    assert unexplained == []


def _reference(data: bytes) -> Json:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reference(data)


def _is_fault(text: str, ours: Json, theirs: Json) -> bool:
    path = text.partition(":")[0].split("/")
    one, other = _at(ours, path), _at(theirs, path)
    return one is not None and bool(fault_of_pydicom(one, other))


def _at(dataset: Json, path: list[str]) -> Any:
    for tag, number in zip(path[:-1:2], path[1::2], strict=True):
        dataset = dataset[tag]["Value"][int(number)]
    return dataset.get(path[-1])


# Every element is there -----------------------------------------------------------------------------------------------


def missing(file: PlainFile, found: Json) -> list[str]:
    """Top-level elements without a member; group lengths and padding have none (PS3.18 §F.2.2), long sequences may."""
    tags = {f"{each.tag:08X}" for each in file.elements if shown(each)}
    return sorted(tags - found.keys())


def shown(element: Element) -> bool:
    long_sequence = element.items is not None and len(element.value) > 1_000_000
    return bool(element.tag & 0xFFFF) and element.tag != 0xFFFCFFFC and not long_sequence


@pytest.mark.parametrize("name", parameters(*(f"made:{name}" for name in FILES if "-200-" not in name), *real_names()))
def test_every_element_has_a_member_and_no_member_is_made_up(name: str) -> None:
    data = content(name)
    file, text = read_file(data), dicom_json(header_bytes_of(data), "u")
    found = json.loads(text, parse_int=float)
    assert missing(file, found) == []
    assert {tag for tag in found if not tag.startswith("0002")} <= {f"{each.tag:08X}" for each in file.elements}
    assert not _numbers_of_no_sense(text)


def _numbers_of_no_sense(text: str) -> list[str]:
    """JSON has no NaN and no Infinity (RFC 8259 §6), and nobody reads numbers of thousands of digits."""
    odd: list[str] = []
    json.loads(text, parse_constant=odd.append, parse_int=lambda digits: odd.append(digits) if len(digits) > 32 else 0)
    return odd


@pytest.mark.parametrize("number", [0xE000, 0xE00D, 0xE0DD])
@pytest.mark.parametrize("vr", ["LO", "OB", "??"])
def test_an_item_or_delimiter_with_a_vr_is_refused_or_hides_nothing(number: int, vr: str) -> None:
    """PS3.5 §7.5: they have none, so what stands there is damaged; what follows it must not be missing in silence."""
    form = "xxI" if vr == "OB" else "H"
    stray = struct.pack(f"<HH2s{form}", 0xFFFE, number, vr.encode(), 4) + b"abcd"
    data = part10(dataset([(0x00100015, stray)], EXPLICIT), EXPLICIT_UID)
    if accepted(data):
        found = parsed(data)
        assert {"00080060", "00100010", "00100020", "0020000D", "00280010", "7FE00010"} <= found.keys()


@pytest.mark.parametrize("encoding", ["explicit", "implicit", "big-endian", "deflated"])
def test_numbers_that_are_none_stay_text(encoding: str) -> None:
    """PS3.18 §F.2.3: only what is finite and no longer than anybody writes is a number."""
    found = json.loads(dicom_json(header_bytes_of(FILES[f"numbers-{encoding}"]), "u"), parse_int=str, parse_float=str)
    assert found["00200011"] == {"vr": "IS", "Value": ["9" * 5000]}
    assert found["00180050"] == {"vr": "DS", "Value": ["1e400"]}
    assert found["00181041"] == {"vr": "DS", "Value": ["abc", "1_0", None, "nan"]}
    assert found["00280030"]["Value"] == ["0.50", "0.5"]
    assert found["00189087"] == {"vr": "FD", "Value": ["NaN", "Infinity"]}


@pytest.mark.parametrize("encoding", ["explicit", "implicit", "big-endian"])
def test_values_of_a_wrong_length_are_not_as_if_empty(encoding: str) -> None:
    """AT of 6 bytes, UL of 2, FD of 4, US of 1: the bytes by address or in base64, or the whole words among them."""
    found = parsed(FILES[f"odd-lengths-{encoding}"])
    for tag in ("00181310", "00189073", "00209157", "00280009"):
        assert found[tag].keys() & {"BulkDataURI", "InlineBinary", "Value"}, found[tag]


def test_text_of_an_item_is_in_its_own_character_set() -> None:
    """PS3.5 §6.1.2.5.3 and §K.2: kanji that hold the byte of = stay whole; IR 58 is decoded; padding goes first."""
    for encoding in ("explicit", "implicit", "big-endian", "deflated"):
        found = parsed(FILES[f"texts-{encoding}"])
        (name,) = found["00100010"]["Value"]
        assert name == {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
        assert found["00104000"]["Value"] == ["line\r\n出春"]
        (item,) = found["00400275"]["Value"]
        assert item["00321060"]["Value"] == ["张^小东"]
        assert item["00400007"]["Value"] == ["abc"]
