"""Names that become headers, or lead out of the storage.

Headers: CWE-113 (Orthanc and others put PatientName into Content-Disposition). Paths: dcm4chee-arc-light#4987 and
GHSA-rf29-xp3v-4wp3, DICOMHawk#114 (a UID as a file name); CWE-22, CWE-59.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.dicomweb.instances import instance
from tests.hostile.neighbours import Neighbours, bounded
from tests.support.dicom import element, make_instance
from tests.support.raw import RawConnection
from tests.support.server import counts
from tests.support.web import JSON, uid_path

BREAKS = ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\u2028X-Evil: 1", "a\u0085X-Evil: 1", 'a"; x="b', "a\0b"]
UPWARD = ["../../evil", "..", "/var/evil", "..\\..\\evil", "%2e%2e%2fevil", "1.2/../../evil", "~/evil", "1.2\0/../evil"]


def raw_answer(neighbours: Neighbours, request: bytes) -> tuple[int, bytes]:
    """Status and head of an answer, as bytes: no client library cleans them."""
    with RawConnection(neighbours.gantry.server) as connection:
        connection.send(request)
        answer = connection.receive()
    head, _, _ = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head


def heads(neighbours: Neighbours, path: str, accept: str = "*/*") -> tuple[int, bytes]:
    lines = f"GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: {accept}\r\n\r\n"
    return raw_answer(neighbours, lines.encode("latin-1"))


def harmless(head: bytes) -> None:
    names = [line.partition(b":")[0].strip().lower() for line in head.split(b"\n")[1:]]
    assert b"x-evil" not in names
    assert b"\r" not in head.replace(b"\r\n", b"") and b"\n" not in head.replace(b"\r\n", b"") and b"\0" not in head


class TestHeaders:
    @pytest.mark.parametrize("text", BREAKS)
    def test_texts_of_an_instance(self, neighbours: Neighbours, text: str) -> None:
        """Of whatever is stored, nothing is a header."""
        uids = ("1.2.5", "1.2.5.1", "1.2.5.1.1")
        marker = "x" * len(text.encode())
        data = instance(uids, PatientName=marker, PatientID=marker, StudyDescription=marker, Modality="OT")
        neighbours.store_one(data.replace(marker.encode(), text.encode()))
        root = f"{neighbours.web.root}/{uid_path(*uids)}"
        for path, accept in (
            *((root + path, "*/*") for path in ("", "/metadata", "/rendered", "/thumbnail", "/frames/1")),
            *((root + path, "*/*") for path in ("/bulkdata/7FE00010", "/bulkdata/00100010")),
            (f"{neighbours.web.root}/studies", JSON),
            (f"console/{neighbours.gantry.store}", "text/html"),
        ):
            status, head = heads(neighbours, path, accept)
            assert status < 500
            harmless(head)

    @pytest.mark.parametrize("text", [*BREAKS, *("%0d%0aX-Evil: 1", "%0aX-Evil:%201", "%E5%98%8A%E5%98%8DX-Evil: 1")])
    def test_pieces_of_an_address(self, neighbours: Neighbours, text: str) -> None:
        part = quote(text, safe="%")
        for path in (
            f"v1/{neighbours.gantry.dataset}/dicomStores/{part}",
            f"{neighbours.web.root}/studies/{part}",
            f"{neighbours.web.root}/studies?PatientName={part}",
            f"sign-in?next=/{part}",
            f"console/{part}",
            f"viewer/{part}",
            f"$discovery/rest?version={part}",
            part,
        ):
            status, head = heads(neighbours, path)
            assert status < 500, path
            harmless(head)

    @pytest.mark.parametrize("text", ['b"; x="', "b\\", "b c", "é", "b,c", "b\tc", "b" * 200])
    def test_headers_of_a_request_do_not_come_back(self, neighbours: Neighbours, text: str) -> None:
        path = f"/{neighbours.web.root}/studies"
        kind = f'multipart/related; type="application/dicom"; boundary="{text}"'.encode("latin-1")
        origin = b"Origin: http://localhost" + text.encode("latin-1")
        request = b"POST " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + origin
        request += b"\r\nContent-Type: " + kind + b"\r\nContent-Length: 0\r\n\r\n"
        status, head = raw_answer(neighbours, request)
        assert 400 <= status < 500
        harmless(head)
        assert text.encode("latin-1") not in head

    @pytest.mark.parametrize("key", ["a\r\nX-Evil: 1.dcm", "a\n.dcm", 'a"b.dcm', "é\u2028.dcm"])
    def test_keys_of_objects(self, neighbours: Neighbours, key: str) -> None:
        """The error log names them, as text and as a file."""
        neighbours.gantry.put(neighbours.gantry.bucket, key, b"not DICOM")
        operation = neighbours.gantry.import_("a*" if key[0] == "a" else "é*")
        assert counts(operation) == (0, 1)
        for end in ("errors", "errors.csv", "errors.ndjson"):
            status, head = heads(neighbours, f"console/{operation['name']}/{end}")
            assert status == 200
            harmless(head)


class TestPaths:
    @staticmethod
    def files(neighbours: Neighbours) -> set[str]:
        """All around the server's own data and the test's own buckets."""
        server, found = neighbours.gantry.server, set()
        own = {server.data, *(server.buckets / name for name in (neighbours.gantry.bucket, neighbours.gantry.out))}
        for at, directories, names in os.walk(server.data.parent):
            directories[:] = [name for name in directories if Path(at, name) not in own]
            found |= {os.path.join(at, name) for name in (*names, *directories)}
        return found

    @pytest.mark.parametrize("text", UPWARD)
    @pytest.mark.parametrize("which", [0, 1, 2])
    def test_uids(self, neighbours: Neighbours, text: str, which: int) -> None:
        """A blob's key is never a UID; a UID that is none is refused besides."""
        before = self.files(neighbours)
        uids = ["1.2.5", "1.2.5.1", "1.2.5.1.1"]
        uids[which] = text
        data = make_instance(*uids)
        assert neighbours.store_one(data).status_code == 409
        assert neighbours.import_one(data)
        assert self.files(neighbours) == before

    @pytest.mark.parametrize("text", UPWARD[:-1])
    def test_texts_of_an_instance(self, neighbours: Neighbours, text: str) -> None:
        """Names, ids, dates and application entities, of which others make paths."""
        before = self.files(neighbours)
        data = make_instance("1.2.5", "1.2.5.1", "1.2.5.1.1", patient_id=text)
        at = data.index(b"\x10\0\x20\0LO")
        data = data[:at] + element(0x10, 0x10, b"PN", text) + data[at:]
        at = data.index(b"\x08\0\x60\0CS")
        data = data[:at] + element(0x08, 0x20, b"DA", text) + element(0x08, 0x55, b"AE", text) + data[at:]
        assert neighbours.store_one(data).status_code == 200
        assert neighbours.web.get(uid_path("1.2.5"), 'multipart/related; type="application/dicom"').status_code == 200
        assert counts(neighbours.gantry.export("e")) == (1, 0)
        assert set(neighbours.gantry.objects(neighbours.gantry.out)) == {"e/1.2.5/1.2.5.1/1.2.5.1.1.dcm"}
        assert self.files(neighbours) == before

    @pytest.mark.parametrize("text", UPWARD)
    def test_names_of_stores_and_datasets(self, neighbours: Neighbours, text: str) -> None:
        before = self.files(neighbours)
        for path, name in (
            (f"v1/{neighbours.gantry.dataset}/dicomStores", "dicomStoreId"),
            (f"v1/{neighbours.gantry.location}/datasets", "datasetId"),
        ):
            bounded(neighbours.gantry.request("POST", path, params={name: text}, json={}))
        assert self.files(neighbours) == before

    @pytest.mark.slow
    @pytest.mark.parametrize("text", [*UPWARD, "link/evil", "linked.txt"])
    def test_filter_files_and_targets(self, neighbours: Neighbours, text: str) -> None:
        """A symbolic link in a bucket is followed neither for reading nor for writing."""
        bucket, out = (
            neighbours.gantry.server.buckets / name for name in (neighbours.gantry.bucket, neighbours.gantry.out)
        )
        outside = neighbours.gantry.server.data.parent / f"outside-{neighbours.gantry.bucket}"
        outside.mkdir()
        (outside / "evil").write_text("/studies/1.2.5\n")
        for place in (bucket, out):
            (place / "link").symlink_to(outside)
            (place / "linked.txt").symlink_to(outside / "evil")
        neighbours.store_one(make_instance("1.2.5", "1.2.5.1", "1.2.5.1.1"))
        before = self.files(neighbours)
        for body in (
            {"gcsDestination": {"uriPrefix": f"gs://{out.name}/x"},
             "filterConfig": {"resourcePathsGcsUri": f"gs://{bucket.name}/{text}"}},
            {"gcsDestination": {"uriPrefix": f"gs://{out.name}/{text}"}},
        ):  # fmt: skip
            response = neighbours.gantry.request("POST", f"v1/{neighbours.gantry.store}:export", json=body)
            if response.status_code != 200:
                bounded(response)
                continue
            operation = neighbours.gantry.wait(response.json()["name"])
            if "filterConfig" in body:
                assert "error" in operation and counts(operation)[0] == 0
        assert self.files(neighbours) == before
        assert (outside / "evil").read_text() == "/studies/1.2.5\n" and sorted(os.listdir(outside)) == ["evil"]

    @pytest.mark.parametrize(
        "filter_line", [f"/studies/{text}" for text in UPWARD] + ["/../../etc/passwd", "/studies/1.2.5/../.."]
    )
    def test_lines_of_a_filter_file(self, neighbours: Neighbours, filter_line: str) -> None:
        neighbours.store_one(make_instance("1.2.5", "1.2.5.1", "1.2.5.1.1"))
        uri = neighbours.gantry.put(neighbours.gantry.bucket, "filter.txt", filter_line.encode())
        operation = neighbours.gantry.export("e", filterConfig={"resourcePathsGcsUri": uri})
        assert counts(operation)[0] == 0
        assert neighbours.gantry.objects(neighbours.gantry.out) == {}

    def test_a_symbolic_link_in_the_middle_of_a_write(self, neighbours: Neighbours) -> None:
        """A directory that becomes a link while an export writes below it."""
        neighbours.store_one(make_instance("1.2.5", "1.2.5.1", "1.2.5.1.1"))
        outside = neighbours.gantry.server.data.parent / f"aside-{neighbours.gantry.bucket}"
        outside.mkdir()
        (neighbours.gantry.server.buckets / neighbours.gantry.out / "1.2.5").symlink_to(outside)
        operation = neighbours.gantry.export()
        assert counts(operation) == (0, 1) or "error" in operation
        assert os.listdir(outside) == []


def test_a_length_that_hides_a_second_part(neighbours: Neighbours) -> None:
    """A boundary inside of pixel data is data: multipart bodies are cut where lines begin with it (RFC 2046 §5.1.1)."""
    inner = b"--b--x" + struct.pack("<I", 7)
    data = make_instance("1.2.5", "1.2.5.1", "1.2.5.1.1", inner)
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--b--"
    headers = {"content-type": 'multipart/related; type="application/dicom"; boundary=b', "accept": JSON}
    response = neighbours.gantry.request("POST", f"{neighbours.web.root}/studies", content=body, headers=headers)
    assert response.status_code == 200, response.text
    found = neighbours.web.get(uid_path("1.2.5", "1.2.5.1", "1.2.5.1.1"), "application/dicom; transfer-syntax=*")
    assert found.content == data
