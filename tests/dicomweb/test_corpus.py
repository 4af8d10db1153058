"""Store, search, retrieve and delete over real files (§17.13): bytes stay, metadata is an independent reader's."""

from __future__ import annotations

import json
import os
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest

from gantry.studies.answer_members import OF_THE_SERVER
from tests.dicomweb.instances import uids_of
from tests.support.gantry import Gantry
from tests.support.server import Json
from tests.support.web import AS_STORED, ONE_AS_STORED, Web, parts_of, uid_path, value, values

BULK = ("OB", "OW", "UN")


def packaged_files() -> list[Path]:
    """Those that pydicom ships and that are whole Part 10 files with the four UIDs."""
    folder = Path(pydicom.__file__).parent / "data"
    return [path for path in sorted(folder.rglob("*.dcm")) if path.read_bytes()[128:132] == b"DICM"]


def corpus_files() -> list[Path]:
    root = os.environ.get("GANTRY_CORPUS", "")
    return [path for path in sorted(Path(root, "data", "ok").rglob("*")) if path.is_file()] if root else []


def check(web: Web, data: list[bytes]) -> None:
    """All of it, in one store; the same UIDs occur once."""
    for start in range(0, len(data), 20):
        response = web.store(*data[start : start + 20])
        assert response.status_code == 200, response.text[:3000]
    by_uids = {uids_of(each): each for each in data}
    found = {value(item, "0020000D"): item for item in web.search("studies", limit=5000)}
    assert found.keys() == {study for study, _, _ in by_uids}
    for uids, sent in by_uids.items():
        path = uid_path(*uids)
        assert web.get(path, ONE_AS_STORED).content == sent, path
        (metadata,) = web.metadata(path)
        assert differences(metadata, reference(sent)) == [], path
        (result,) = web.search(f"{uid_path(*uids[:2])}/instances", SOPInstanceUID=uids[2], includefield="all")
        said = {tag: element for tag, element in metadata.items() if int(tag, 16) not in OF_THE_SERVER}
        assert result.items() >= said.items()
    for study in found:
        sent_of = [sent for uids, sent in sorted(by_uids.items()) if uids[0] == study]
        assert sorted(part.data for part in parts_of(web.get(f"studies/{study}", AS_STORED))) == sorted(sent_of)
        operation = web.gantry.call("DELETE", f"{web.root}/studies/{study}")
        web.gantry.wait(operation["name"])
        assert web.get(f"studies/{study}/metadata").status_code == 404
    assert web.search("studies") == []


@pytest.mark.slow
def test_the_files_of_pydicom(gantry: Gantry) -> None:
    data, seen = [], set()
    for path in packaged_files():
        content = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(BytesIO(content), stop_before_pixels=True)
        uids = tuple(str(ds.get(name, "")) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
        broken = "truncated" in path.name or "TransferSyntaxUID" not in ds.file_meta or not ds.get("SOPClassUID")
        if all(uids) and uids not in seen and not broken:
            seen.add(uids)
            data.append(content)
    assert len(data) > 45
    check(Web(gantry), data)


@pytest.mark.slow
@pytest.mark.skipif(not corpus_files(), reason="GANTRY_CORPUS is not set: no corpus to read")
def test_the_corpus(gantry: Gantry) -> None:
    files = corpus_files()
    assert len(files) > 150
    check(Web(gantry), [path.read_bytes() for path in files])


# Metadata beside pydicom's --------------------------------------------------------------------------------------------


def reference(data: bytes) -> Json:
    """What pydicom makes of it, every binary value by address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Json = json.loads(json.dumps(_as_json(pydicom.dcmread(BytesIO(data), force=True))))
    return found


def _as_json(ds: pydicom.Dataset) -> Json:
    """Element by element, so that one that pydicom cannot write takes no other with it."""
    found: Json = {}
    for element in ds:
        tag = f"{int(element.tag):08X}"
        if element.VR == "SQ":
            items = [_as_json(item) for item in element.value]
            found[tag] = {"vr": "SQ"} | ({"Value": items} if items else {})
        else:
            with suppress(ValueError, TypeError):
                found[tag] = element.to_json_dict(lambda _: "address", 1)
    return found


def differences(ours: Json, theirs: Json, path: str = "") -> list[str]:
    """Elements that differ and are in no way explained below."""
    found = []
    for tag in sorted(ours.keys() | theirs.keys()):
        if tag.startswith("0002") and not path:
            continue
        one, other = ours.get(tag), theirs.get(tag)
        if one is not None and other is not None and one["vr"] == other["vr"] == "SQ":
            items, others = values(ours, tag), values(theirs, tag)
            if len(items) == len(others):
                for number, (item, another) in enumerate(zip(items, others, strict=True)):
                    found += differences(item, another, f"{path}{tag}/{number}/")
                continue
        if not explained(tag, one, other):
            found.append(f"{path}{tag}: ours {str(one)[:150]}, pydicom {str(other)[:150]}")
    return found


def explained(tag: str, ours: Json | None, theirs: Json | None) -> bool:
    """The differences to pydicom that there may be, each with its reason."""
    if ours == theirs:
        return True
    if ours is None:
        # Group lengths are no part of DICOM JSON (PS3.18 §F.2.2), nor is padding.
        return tag.endswith("0000") or tag == "FFFCFFFC"
    if theirs is None:
        # pydicom cannot write what is no number; we leave it text (§F.2.3).
        return any(isinstance(value, str) for value in ours.get("Value", ())) or ours["vr"] in BULK
    if "BulkDataURI" in ours:
        # pydicom gives addresses to fewer values, and knows the private elements of some vendors (§10.3.6).
        return "BulkDataURI" in theirs or ours["vr"] in BULK or len(theirs.get("Value", ())) > 512
    if ours["vr"] == "UN":
        return "Value" not in ours and not theirs.get("Value")
    if "InlineBinary" in ours:
        return "BulkDataURI" in theirs  # short OD, OF, OL and OV are inline (§10.3.6); the threshold here is 1 byte
    if ours["vr"] != theirs["vr"]:
        return False
    if "\\u001b" in json.dumps(theirs):
        # pydicom leaves the escape sequences of ISO 2022 IR 58 in text (PS3.5 §K.2).
        return "\\u001b" not in json.dumps(ours)
    return _same(ours.get("Value", []), theirs.get("Value", []))


def _same(ours: list[Any], theirs: list[Any]) -> bool:
    """Numbers by value: pydicom writes 1.0 where the file says 1; empty names and trailing blanks alike."""
    return [_plain(value) for value in ours] == [_plain(value) for value in theirs] or not (any(ours) or any(theirs))


def _plain(item: Any) -> Any:
    if isinstance(item, dict):
        return {group: text.strip() for group, text in item.items() if text.strip()}
    if isinstance(item, str):
        return item.strip(" \0") or None  # null is what the standard has for an empty one of several (§F.2.5)
    return float(item) if isinstance(item, int | float) else item
