"""dicomweb-client (PyPI), unmodified, with its helper for Google's addresses (§12.4.1)."""

from __future__ import annotations

import pydicom
import pytest
import requests
from dicomweb_client import DICOMwebClient
from dicomweb_client.ext.gcp.uri import GoogleCloudHealthcareURL

from tests.dicomweb.instances import instance, packaged, uids_of
from tests.support.gantry import Gantry
from tests.support.server import LOCATION, PROJECT

A, B = ("1.2.1", "1.2.1.1", "1.2.1.1.1"), ("1.2.1", "1.2.1.1", "1.2.1.1.2")


@pytest.fixture
def client(gantry: Gantry) -> DICOMwebClient:
    """Only the host is another one."""
    url = str(GoogleCloudHealthcareURL(PROJECT, LOCATION, gantry.dataset_id, gantry.store_id))
    google = "https://healthcare.googleapis.com"
    assert url.startswith(f"{google}/v1/projects/")
    return DICOMwebClient(url.replace(google, gantry.server.url))


def read(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(pydicom.filebase.DicomBytesIO(data))


def test_store_and_what_the_answer_says(client: DICOMwebClient) -> None:
    """§10.2.3: the client reads a reply of exactly ``application/dicom+json``."""
    answer = client.store_instances([read(instance(A)), read(instance(B))])
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [A[2], B[2]]
    assert str(answer.RetrieveURL).endswith(f"/studies/{A[0]}")


def test_search(client: DICOMwebClient) -> None:
    client.store_instances([read(instance(A)), read(instance(B))])
    (study,) = client.search_for_studies(search_filters={"PatientName": "Doe*"}, fields=["StudyDescription"])
    assert study["0020000D"]["Value"] == [A[0]]
    assert len(client.search_for_series(A[0])) == 1
    assert len(client.search_for_instances(A[0], A[1], limit=1)) == 1
    assert len(client.search_for_instances(A[0], limit=1, get_remaining=True)) == 2
    assert client.search_for_studies(search_filters={"PatientID": "nobody"}) == []


def test_retrieve(client: DICOMwebClient) -> None:
    sent = {uids: read(instance(uids)) for uids in (A, B)}
    client.store_instances(list(sent.values()))
    assert client.retrieve_instance(*A) == sent[A]
    assert {str(ds.SOPInstanceUID) for ds in client.retrieve_study(A[0])} == {A[2], B[2]}
    assert len(list(client.iter_series(*A[:2]))) == 2
    (metadata,) = (client.retrieve_instance_metadata(*A),)
    assert metadata["00080018"]["Value"] == [A[2]]
    assert len(client.retrieve_study_metadata(A[0])) == 2
    assert client.retrieve_instance_frames(*A, frame_numbers=[1]) == [b"\0\x50\xa0\xf0"]
    assert client.retrieve_bulkdata(metadata["7FE00010"]["BulkDataURI"]) == [b"\0\x50\xa0\xf0"]


def test_pixels_of_every_kind(client: DICOMwebClient) -> None:
    data = packaged("MR_small_RLE.dcm")
    client.store_instances([read(data)])
    uids = uids_of(data)
    (frame,) = client.retrieve_instance_frames(*uids, frame_numbers=[1])
    assert frame == read(data).pixel_array.tobytes()
    rendered = client.retrieve_instance_rendered(*uids, media_types=("image/png",))
    assert rendered.startswith(b"\x89PNG")
    rendered = client.retrieve_instance_frames_rendered(*uids, frame_numbers=[1], media_types=("image/jpeg",))
    assert rendered.startswith(b"\xff\xd8")


def test_delete(client: DICOMwebClient) -> None:
    client.store_instances([read(instance(A)), read(instance(B))])
    client.delete_instance(*A)
    assert len(client.search_for_instances(A[0])) == 1
    client.delete_study(A[0])
    assert client.search_for_studies() == []


def test_what_is_not_there(client: DICOMwebClient) -> None:
    with pytest.raises(requests.HTTPError) as failed:
        client.retrieve_instance(*A)
    assert failed.value.response.status_code == 404
    assert "does not exist" in failed.value.response.json()["error"]["message"]
