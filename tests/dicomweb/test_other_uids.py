"""A store with the label ``gantry-uids: any`` accepts UIDs with letters, as Beam's and Google's samples have them."""

from __future__ import annotations

import json
import re
import zipfile
from html import unescape
from io import BytesIO
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from gantry.names import is_other_uid
from tests.dicomweb.instances import instance
from tests.support.apart import serve_apart  # noqa: F401
from tests.support.blobs import find_blobs
from tests.support.checked import check_clean
from tests.support.gantry import Gantry
from tests.support.server import counts
from tests.support.web import JSON, ONE_AS_STORED, Web, multipart, parts_of, uid_path, value

UIDS = "study_000000001", "series-1.a+b", "Image=1@x~y"
PLAIN = "1.2.1", "1.2.1.1", "1.2.1.1.1"
SAFE = (
    *("a", "_", "A-1", "1.2.x", "a+b", "a=b", "a@b", "a~b", "x" * 64, "1.02", "0", "1-"),
    *("jpg", "a.jpg.b", "a.jpg1", "a.xpng"),
)
UNSAFE = (
    *("a/b", "a\\b", "a\tb", ".a", "a.", "..", "a..b", "x" * 65, "ü", "a b", "-rf", "~a", "a:b", "a%2Fb", "a?b", "a*"),
    *("a.jpg", "a.PNG", "1.2.dcm", "a.b.Jpeg"),
    *('a"b', "a#b", "<a>", "a,b", ""),
)


def relabel(gantry: Gantry, label: str | None) -> None:
    labels = {} if label is None else {"gantry-uids": label}
    gantry.call("PATCH", f"v1/{gantry.store}?updateMask=labels", json={"labels": labels})


@pytest.fixture
def web(gantry: Gantry) -> Web:
    """With one instance."""
    relabel(gantry, "any")
    made = Web(gantry, "v1beta1")
    made.stored(instance(UIDS, Modality="CT"))
    return made


@pytest.mark.parametrize("label", [None, "", "digits"])
def test_they_are_refused_without_the_label(gantry: Gantry, label: str | None) -> None:
    relabel(gantry, label)
    web = Web(gantry)
    for place in range(3):
        uids = [*PLAIN]
        uids[place] = UIDS[place]
        response = web.store(instance((uids[0], uids[1], uids[2])))
        assert response.status_code == 409 and "gantry-uids: any" in response.text
    assert web.store(instance(UIDS), study=UIDS[0]).status_code == 400
    gantry.put(gantry.bucket, "in/1.dcm", instance(UIDS))
    operation = gantry.import_("in/**")
    assert counts(operation) == (0, 1)
    (failure,) = gantry.failures(operation).values()
    assert failure["code"] == 3 and "gantry-uids: any" in failure["message"]
    assert web.search("instances") == []
    check_clean(gantry.server.data)


@pytest.mark.parametrize("uid", UNSAFE)
def test_what_is_not_safe_is_refused_with_the_label_too(gantry: Gantry, uid: str) -> None:
    assert not is_other_uid(uid)
    relabel(gantry, "any")
    web = Web(gantry)
    data = instance(PLAIN)
    old = b"\x20\x00\x0d\x00UI\x06\x001.2.1\x00"
    assert data.count(old) == 1
    raw = uid.encode("utf-8")
    raw += b"\0" * (len(raw) % 2)
    response = web.store(data.replace(old, old[:6] + len(raw).to_bytes(2, "little") + raw))
    assert response.status_code == 409, response.text
    assert re.search(r"StudyInstanceUID \(0020,000D\) (is not digits|is empty|has 65 characters)", response.text)
    assert web.search("instances") == []


@pytest.mark.parametrize("uid", SAFE)
def test_safe_ones_are_accepted_at_every_level(gantry: Gantry, uid: str) -> None:
    relabel(gantry, "any")
    web = Web(gantry)
    web.stored(instance((uid, uid, uid)))
    (found,) = web.search("instances", StudyInstanceUID=uid, SeriesInstanceUID=uid, SOPInstanceUID=uid)
    assert found["00081190"]["Value"] == [f"{web.url}/{uid_path(uid, uid, uid)}"]
    assert httpx.get(found["00081190"]["Value"][0], headers={"accept": ONE_AS_STORED}).content == instance(
        (uid, uid, uid)
    )


def test_the_label_is_about_the_uids_of_instances_alone(web: Web) -> None:
    of_class = b"1.2.840.10008.5.1.4.1.1."
    assert web.store(instance(PLAIN).replace(of_class + b"7", of_class + b"x")).status_code == 409


def test_requests_by_them(web: Web) -> None:
    path = uid_path(*UIDS)
    assert web.get(path, ONE_AS_STORED).content == instance(UIDS, Modality="CT")
    for level in (uid_path(*UIDS), uid_path(*UIDS[:2]), uid_path(UIDS[0])):
        (found,) = web.metadata(level)
        assert tuple(value(found, tag) for tag in ("0020000D", "0020000E", "00080018")) == UIDS
    (part,) = parts_of(web.get(f"{path}/frames/1", 'multipart/related; type="application/octet-stream"'))
    assert part.location == f"{web.url}/{path}/frames/1"
    assert web.get(f"{path}/rendered", "image/png").status_code == 200
    quoted = path.replace("+", "%2B").replace("=", "%3D").replace("_", "%5F")
    assert web.get(quoted, ONE_AS_STORED).status_code == 200
    assert web.get(path.replace("series-1", "Series-1"), ONE_AS_STORED).status_code == 404


@pytest.mark.parametrize("accept", [JSON, 'multipart/related; type="application/dicom+xml"'])
def test_searches_for_them(web: Web, accept: str) -> None:
    names, levels = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), ("studies", "series", "instances")
    for name, uid, level in zip(names, UIDS, levels, strict=True):
        response = web.get(level, accept, params={name: f"1.2,{uid}"})
        assert response.status_code == 200 and uid in response.text
        assert web.search(level, **{name: uid.swapcase()}) == []


def test_changed_by_json_patch_and_put(web: Web) -> None:
    path = f"{web.root}/{uid_path(*UIDS)}"
    body = [{"op": "add", "path": "/00100020", "value": {"vr": "LO", "Value": ["NEW"]}}]
    response = web.gantry.request("PATCH", f"{path}/metadata", json=body)
    assert response.status_code == 200, response.text
    assert value(web.metadata(uid_path(*UIDS))[0], "00100020") == "NEW"
    assert web.store(instance(UIDS, PatientID="PUT"), method="PUT").status_code == 200
    assert value(web.metadata(uid_path(*UIDS))[0], "00100020") == "PUT"
    assert web.store(instance((UIDS[0], *PLAIN[1:])), study=UIDS[0]).status_code == 200
    check_clean(web.gantry.server.data)


def test_stored_as_json(web: Web) -> None:
    uids = "json_1", "json_2", "json_3"
    values: dict[str, Any] = {"0020000D": uids[0], "0020000E": uids[1], "00080018": uids[2]}
    values |= {"00080016": "1.2.840.10008.5.1.4.1.1.7", "00020010": "1.2.840.10008.1.2.1"}
    dataset: dict[str, Any] = {tag: {"vr": "UI", "Value": [uid]} for tag, uid in values.items()}
    dataset["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    reference = {"00081155": {"vr": "UI", "Value": ["json_4"]}}
    dataset["00081140"] = {"vr": "SQ", "Value": [reference]}
    kind, body = multipart([json.dumps([dataset]).encode()], "application/dicom+json")
    post = ("POST", f"{web.root}/studies")
    response = web.gantry.request(*post, content=body, headers={"content-type": kind, "accept": JSON})
    assert response.status_code == 200, response.text
    (found,) = web.metadata(uid_path(*uids))
    assert value(found, "0020000D") == uids[0] and found["00081140"]["Value"] == [reference]
    relabel(web.gantry, None)
    response = web.gantry.request(*post, content=body.replace(b"json_3", b"json_4"), headers={"content-type": kind})
    assert response.status_code == 409 and "gantry-uids: any" in response.text


def test_imported_and_exported(web: Web) -> None:
    gantry, other = web.gantry, ("study_2", "a.b", "c")
    gantry.put(gantry.bucket, "in/1.dcm", instance(other, Modality="CT"))
    assert counts(gantry.import_("in/**")) == (1, 0)
    assert gantry.stored() == {
        "/".join(UIDS): instance(UIDS, Modality="CT"),
        "/".join(other): instance(other, Modality="CT"),
    }


@pytest.mark.parametrize("line", [uid_path(*UIDS), uid_path(*UIDS[:2]), uid_path(UIDS[0])])
@pytest.mark.parametrize("start", ["/", "", "STORE/", "URL/"])
def test_selected_by_a_filter_file(web: Web, start: str, line: str) -> None:
    gantry = web.gantry
    web.stored(instance(PLAIN))
    start = start.replace("STORE", f"{gantry.store}/dicomWeb").replace("URL", web.url)
    uri = gantry.put(gantry.bucket, "filter.txt", f"{start}{line}\n".encode())
    operation = gantry.export(filterConfig={"resourcePathsGcsUri": uri})
    assert counts(operation) == (1, 0), operation
    assert list(gantry.objects(gantry.out)) == ["/".join(UIDS) + ".dcm"]


def test_changed_to_another_class(web: Web) -> None:
    body = {"blobStorageSettings": {"blobStorageClass": "ARCHIVE"}}
    operation = web.gantry.call("POST", f"{web.root}/{uid_path(*UIDS)}:setBlobStorageSettings", json=body)
    assert counts(web.gantry.wait(operation["name"])) == (1, 0)
    assert web.get(uid_path(*UIDS), ONE_AS_STORED).status_code == 200


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_deleted(web: Web, levels: int) -> None:
    path = uid_path(*(*UIDS[:levels], "", "")[:3])
    assert web.gantry.request("DELETE", f"{web.root}/{path}").status_code == 200
    assert web.search("instances") == []
    check_clean(web.gantry.server.data)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_the_search_of_the_console_leads_to_them(web: Web, levels: int) -> None:
    gantry = web.gantry
    response = gantry.request("GET", "console/find", params={"q": UIDS[levels - 1], "at": gantry.store})
    path = uid_path(*(*UIDS[:levels], "", "")[:3])
    assert unquote(response.headers.get("location", response.text)) == f"/console/{gantry.store}/{path}"


def test_pages_lead_to_them(web: Web) -> None:
    """Every page of a store, from link to link."""
    gantry = web.gantry
    seen: dict[str, int] = {}
    waiting = [f"/console/{gantry.store}/studies"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        response = gantry.request("GET", path.lstrip("/"))
        seen[path] = response.status_code
        if response.headers["content-type"].startswith("text/html"):
            links = (unescape(link) for link in re.findall(r'(?:href|src)="([^"]+)"', response.text))
            absolute = (str(httpx.URL(f"http://h{path}").join(link).raw_path, "ascii") for link in links)
            waiting += [link for link in absolute if UIDS[0] in link]
    assert set(seen.values()) == {200}, seen
    for levels in (1, 2, 3):
        assert any(path.endswith(uid_path(*(*UIDS[:levels], "", "")[:3])) for path in map(unquote, seen)), seen
    archives = [path for path in seen if path.endswith("download.zip")]
    assert archives
    for path in archives:
        with zipfile.ZipFile(BytesIO(gantry.request("GET", path.lstrip("/")).content)) as archive:
            assert archive.namelist() == ["/".join(UIDS) + ".dcm"]


def test_they_stay_when_the_label_goes(web: Web) -> None:
    """Stored bytes are read whatever the label says by now."""
    relabel(web.gantry, None)
    assert web.get(uid_path(*UIDS), ONE_AS_STORED).status_code == 200
    assert value(web.metadata(uid_path(*UIDS))[0], "0020000D") == UIDS[0]
    check_clean(web.gantry.server.data)


@pytest.fixture
def unlabelled(web: Web) -> Web:
    """The same store, whose label has gone."""
    web.stored(instance(PLAIN))
    relabel(web.gantry, None)
    return web


@pytest.mark.parametrize("way", ["POST", "POST below", "import"])
def test_they_are_healed_when_the_label_has_gone(web: Web, way: str) -> None:
    gantry, uids = web.gantry, (UIDS[0], UIDS[1], "lost")
    data = instance(uids, PatientID=f"only {way}")
    web.stored(data)
    relabel(gantry, None)
    (blob,) = [each for each in find_blobs(gantry.server.data / "blobs").values() if each.read() == data]
    blob.remove()
    assert web.get(uid_path(*uids), ONE_AS_STORED).status_code == 500
    if way == "import":
        gantry.put(gantry.bucket, "in/1.dcm", data)
        assert counts(gantry.import_("in/**")) == (1, 0)
    else:
        assert web.store(data, study=uids[0] if way == "POST below" else "").status_code == 200
    assert web.get(uid_path(*uids), ONE_AS_STORED).content == data
    check_clean(gantry.server.data)


def test_they_are_replaced_imported_and_selected_when_the_label_has_gone(unlabelled: Web) -> None:
    web, gantry, data = unlabelled, unlabelled.gantry, instance(UIDS, PatientID="PUT")
    assert web.store(data, method="PUT").status_code == 200
    assert web.get(uid_path(*UIDS), ONE_AS_STORED).content == data
    new = ("study_2", "a", "b"), (UIDS[0], UIDS[1], "new"), (PLAIN[0], PLAIN[1], "new")
    for number, each in enumerate((UIDS, *new)):
        gantry.put(gantry.bucket, f"in/{number}.dcm", data if each is UIDS else instance(each))
    operation = gantry.import_("in/**")
    assert counts(operation) == (1, 3)
    failures = gantry.failures(operation)
    assert sorted(name.rpartition("/")[2] for name in failures) == ["1.dcm", "2.dcm", "3.dcm"]
    assert all(each["code"] == 3 and "gantry-uids: any" in each["message"] for each in failures.values())
    for each in new:
        assert web.store(instance(each)).status_code == 409
    lines = [f"/{uid_path(*UIDS)}", f"/{uid_path('study_2')}", f"/{uid_path(PLAIN[0])}"]
    uri = gantry.put(gantry.bucket, "filter.txt", "\n".join(lines).encode())
    operation = gantry.export(filterConfig={"resourcePathsGcsUri": uri})
    assert counts(operation) == (2, 1)
    (failure,) = gantry.failures(operation).values()
    assert failure["code"] == 3 and "study_2" in failure["message"]
    assert sorted(gantry.objects(gantry.out)) == sorted(f"{'/'.join(uids)}.dcm" for uids in (PLAIN, UIDS))
    check_clean(gantry.server.data)
