"""Sequences inside of sequences: readers that call themselves for each level run out of stack.

CVE-2026-10528; DCMTK IC-DCMTK-0003 (1,100 levels); CWE-674.
"""

from __future__ import annotations

import json

import httpx
import pytest

from tests.hostile.neighbours import UIDS, Neighbours, bounded, nested
from tests.support.dicom import make_instance
from tests.support.web import JSON, uid_path, values

LEVELS = [1_100, 20_000, 300_000]


@pytest.mark.parametrize("levels", LEVELS)
def test_in_a_file_that_is_stored(neighbours: Neighbours, levels: int) -> None:
    response = neighbours.store_one(nested(levels))
    assert response.status_code == 409
    assert "nested deeper than 512 levels" in response.text


@pytest.mark.parametrize("levels", LEVELS)
def test_in_a_file_that_is_imported(neighbours: Neighbours, levels: int) -> None:
    assert "nested deeper than 512 levels" in neighbours.import_one(nested(levels))


@pytest.mark.parametrize(("levels", "defined"), [(500, False), (500, True), (1_100, True), (20_000, True)])
def test_what_is_accepted_can_be_read_in_every_way(neighbours: Neighbours, levels: int, defined: bool) -> None:
    """Sequences of defined length are passed over at first. No level brings down what reads them later."""
    data = nested(levels, defined=defined)
    assert neighbours.store_one(data).status_code == 200
    root, native = uid_path(*UIDS), "application/dicom; transfer-syntax="
    for path, accept in (
        *((f"{root}/metadata", kind) for kind in (JSON, 'multipart/related; type="application/dicom+xml"')),
        *((root, native + syntax) for syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99")),
        *((f"{root}/{path}", "*/*") for path in ("rendered", "thumbnail", "frames/1", "bulkdata/7FE00010")),
        (f"{root}/bulkdata/{'0040A730/0/' * 150}0040A730", "*/*"),
        ("instances?includefield=all&0040A730.0040A730.00080100=x", JSON),
    ):
        response = neighbours.web.get(path, accept)
        assert response.status_code in (200, 204, 400, 404, 406), f"{path}: {response.status_code} {response.text}"
        if response.status_code in (400, 404):
            bounded(response)
    assert neighbours.web.get(root, f"{native}*").content == data


def json_nested(levels: int) -> str:
    inner = '{"0040A730":{"vr":"SQ","Value":['
    return inner * levels + "{}" + "]}}" * levels


def store_json(neighbours: Neighbours, text: str) -> httpx.Response:
    body = f"--b\r\nContent-Type: {JSON}\r\n\r\n[{text}]\r\n--b--".encode()
    headers = {"content-type": f'multipart/related; type="{JSON}"; boundary=b', "accept": JSON}
    return neighbours.gantry.request("POST", f"{neighbours.web.root}/studies", content=body, headers=headers)


@pytest.mark.parametrize("levels", [210, 5_000, 200_000])
def test_in_dicom_json_that_is_stored(neighbours: Neighbours, levels: int) -> None:
    identity = {
        "00020010": {"vr": "UI", "Value": ["1.2.840.10008.1.2.1"]},
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
        "00080018": {"vr": "UI", "Value": [UIDS[2]]},
        "0020000D": {"vr": "UI", "Value": [UIDS[0]]},
        "0020000E": {"vr": "UI", "Value": [UIDS[1]]},
    }
    text = json.dumps(identity)[:-1] + "," + json_nested(levels)[1:]
    response = store_json(neighbours, text)
    assert response.status_code in (400, 409), response.text
    if response.status_code == 400:
        bounded(response)
    else:
        assert len(values(response.json(), "00081198")) == 1
    assert len(response.content) < 5000
    assert neighbours.web.search("instances") == []


@pytest.mark.parametrize("levels", [210, 5_000, 200_000])
def test_in_a_json_patch(neighbours: Neighbours, levels: int) -> None:
    data = make_instance(*UIDS)
    neighbours.web.stored(data)
    value = f'{{"vr":"SQ","Value":[{json_nested(levels)}]}}'
    body = f'[{{"op":"add","path":"/0040A730","value":{value}}}]'.encode()
    headers = {"content-type": "application/json-patch+json"}
    for root in (f"v1beta1/{neighbours.gantry.store}", f"v1/{neighbours.gantry.store}"):
        path = f"{root}/dicomWeb/{uid_path(*UIDS)}/metadata"
        response = neighbours.gantry.request("PATCH", path, content=body, headers=headers)
        assert response.status_code in (400, 405), response.text
    assert neighbours.web.get(uid_path(*UIDS), "application/dicom; transfer-syntax=*").content == data


@pytest.mark.parametrize("text", ['{"labels":' * 50_000 + "1" + "}" * 50_000, "[" * 200_000, '{"a":[' * 100_000])
def test_in_a_request_of_the_api(neighbours: Neighbours, text: str) -> None:
    for verb, path in (("PATCH", ""), ("POST", ":import"), ("POST", ":export"), ("POST", ":setIamPolicy")):
        bounded(neighbours.gantry.request(verb, f"v1/{neighbours.gantry.store}{path}", content=text.encode()))


def test_in_a_search(neighbours: Neighbours) -> None:
    path = ".".join(["0040A730"] * 2000)
    response = neighbours.web.get("instances", JSON, params={f"{path}.00080100": "x"})
    assert response.status_code in (400, 414, 431), response.text
