"""Person names of all scripts over DICOMweb: stored as files, found by their parts, shown as they are."""

from __future__ import annotations

import os
from random import Random

import pytest

from tests.support.dicom import element, make_instance
from tests.support.gantry import Gantry
from tests.support.scripts import SCRIPTS, Script
from tests.support.web import Web, uid_path, value, values

NAMES = int(os.environ.get("GANTRY_NAMES", 300))
LOOKED_FOR_BY_PARTS = int(os.environ.get("GANTRY_NAMES_BY_PARTS", 20))
AMONG_ALL = 20
"""How many names are looked for by words among all, which answers with thousands; the others in their own study."""

PAGE = 1000
NAME = "00100010"
_PATIENT_ID = element(0x0010, 0x0020, b"LO", "P1")


def named(uid: str, character_set: str, name: bytes) -> bytes:
    """An instance with a patient's name in these very bytes."""
    data = make_instance(uid, f"{uid}.1", f"{uid}.1.1")
    charset = element(0x0008, 0x0005, b"CS", character_set)
    patient = element(0x0010, 0x0010, b"PN", name + b" " * (len(name) % 2))
    sop_class = data.index(b"\x08\x00\x16\x00UI")
    data = data[:sop_class] + charset + data[sop_class:]
    return data.replace(_PATIENT_ID, patient + _PATIENT_ID)


def groups_of(name: str) -> dict[str, str]:
    return dict(zip(("Alphabetic", "Ideographic", "Phonetic"), name.split("="), strict=False))


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_names_are_shown_and_found_in_full_and_by_their_parts(gantry: Gantry, script: Script) -> None:
    """PS3.18 §8.3.4.2, PS3.5 §6.2.1; each component group and each component by itself."""
    web, random = Web(gantry), Random(script.character_set)
    names = {f"1.2.7.{number}": script.name(random) for number in range(NAMES)}
    for uids in (list(names)[at : at + 100] for at in range(0, NAMES, 100)):
        web.stored(*(named(uid, script.character_set, script.bytes_of(names[uid])) for uid in uids))
    pages = (web.search("studies", limit=PAGE, offset=at) for at in range(0, NAMES, PAGE))
    shown = {value(found, "0020000D"): value(found, NAME) for page in pages for found in page}
    assert shown == {uid: groups_of(name) for uid, name in names.items()}
    for place, (uid, name) in enumerate(random.sample(sorted(names.items()), LOOKED_FOR_BY_PARTS)):
        (found,) = web.metadata(uid_path(uid))
        assert values(found, NAME) == [groups_of(name)]
        for asked, fuzzy in parts_of(name):
            among = {"StudyInstanceUID": uid} if fuzzy == "true" and place >= AMONG_ALL else {}
            answer = web.search("studies", PatientName=asked, fuzzymatching=fuzzy, limit=5 * PAGE, **among)
            found_uids = [value(each, "0020000D") for each in answer]
            assert uid in found_uids, (name, asked)
            assert fuzzy == "true" or len(found_uids) < NAMES / 4, asked


def parts_of(name: str) -> list[tuple[str, str]]:
    """What to ask for, and whether by ``fuzzymatching``."""
    asked = [(name, "false")]
    for group in name.split("="):
        family, given = group.split("^")
        asked += [(group, "false"), (f"{family}^*", "false"), (f"*^{given}", "false")]
        asked += [(family, "true"), (given, "true")]
    return asked


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_names_are_written_in_the_character_set_of_the_file(gantry: Gantry, script: Script) -> None:
    """A patient's name given in JSON, which is UTF-8, where the file is not."""
    web, name = Web(gantry, "v1beta1"), script.name(Random(7))
    web.stored(named("1.2.7", script.character_set, b"Old^Name"))
    path = f"{web.root}/studies/1.2.7/series/1.2.7.1/instances/1.2.7.1.1/metadata"
    change = {"op": "replace", "path": f"/{NAME}/Value/0", "value": groups_of(name)}
    response = gantry.request("PATCH", path, json=[change])
    assert response.status_code == 200, response.text
    (found,) = web.metadata("studies/1.2.7")
    assert values(found, NAME) == [groups_of(name)]
    assert values(found, "00080005") == [term or None for term in script.character_set.split("\\")]
