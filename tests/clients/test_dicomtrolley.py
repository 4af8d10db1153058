"""dicomtrolley: a study is found and downloaded by its classes for DICOMweb and for WADO-URI."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pydicom
import pytest
import requests
from dicomtrolley.core import InstanceReference, Query, QueryLevels
from dicomtrolley.exceptions import DICOMTrolleyError
from dicomtrolley.qido_rs import HierarchicalQuery, QidoRS, RelationalQuery
from dicomtrolley.trolley import Trolley
from dicomtrolley.wado_rs import WadoRS, WadoRSMetaData
from dicomtrolley.wado_uri import WadoURI

from tests.clients import scans
from tests.dicomweb.instances import instance, packaged, uids_of
from tests.support.gantry import Gantry
from tests.support.web import Web

OTHER = ("1.2.1", "1.2.1.1", "1.2.1.1.1")
COMPRESSED = packaged("MR_small_RLE.dcm")


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    made.stored(*map(scans.part10, scans.ct_series()), instance(OTHER, PatientName="Doe^John"), COMPRESSED)
    return made


@pytest.fixture
def trolley(web: Web) -> Trolley:
    session = requests.Session()
    return Trolley(downloader=WadoRS(session, web.url), searcher=QidoRS(session, web.url))


def test_search_at_every_level(trolley: Trolley) -> None:
    """By name with wildcards and by date; what is found is a tree of studies, series and instances."""
    (study,) = trolley.find_studies(Query(PatientName="Derived*"))
    assert study.uid == scans.STUDY and study.data.PatientID == "P7"
    day = datetime(2024, 2, 3)
    found = trolley.find_studies(HierarchicalQuery(min_study_date=day, max_study_date=day))
    assert [study.uid for study in found] == [scans.STUDY]
    query = HierarchicalQuery(StudyInstanceUID=scans.STUDY, query_level=QueryLevels.SERIES)
    assert [series.uid for series in trolley.find_study(query).series] == [scans.SERIES]
    query = RelationalQuery(StudyInstanceUID=scans.STUDY, query_level=QueryLevels.INSTANCE)
    (series,) = trolley.find_study(query).series
    assert len(series.instances) == scans.SLICES
    assert len(trolley.find_studies(RelationalQuery(query_level=QueryLevels.INSTANCE))) == 3
    assert trolley.find_studies(Query(PatientID="nobody")) == []


def test_fields_that_are_asked_for(trolley: Trolley) -> None:
    query = Query(
        PatientID="P7", include_fields=["StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries"]
    )
    study = trolley.find_study(query)
    assert study.data.StudyDescription == "CT with what is derived from it"
    assert study.data.ModalitiesInStudy == "CT" and study.data.NumberOfStudyRelatedSeries == 1


def test_download_of_a_study(trolley: Trolley, tmp_path: Path) -> None:
    """All files of the study, with what was stored in them."""
    trolley.download(trolley.find_study(Query(PatientID="P7")), tmp_path)
    read = {str(ds.SOPInstanceUID): ds for ds in map(pydicom.dcmread, filter(Path.is_file, tmp_path.rglob("*")))}
    sent = {str(ds.SOPInstanceUID): scans.read(scans.part10(ds)) for ds in scans.ct_series()}
    assert read == sent


def test_download_of_what_is_compressed(trolley: Trolley) -> None:
    """The library names no media type: the default, whose pixels are those that were stored."""
    study = trolley.find_study(Query(StudyInstanceUID=uids_of(COMPRESSED)[0]))
    (read,) = trolley.fetch_all_datasets([study])
    assert (read.pixel_array == scans.read(COMPRESSED).pixel_array).all()


def test_download_of_one_instance_and_of_metadata(web: Web, trolley: Trolley) -> None:
    query = HierarchicalQuery(StudyInstanceUID=OTHER[0], SeriesInstanceUID=OTHER[1], query_level=QueryLevels.INSTANCE)
    (series,) = trolley.find_study(query).series
    (read,) = trolley.downloader.datasets([series.instances[0].reference()])
    assert read == scans.read(instance(OTHER))
    (metadata,) = WadoRSMetaData(requests.Session(), web.url).datasets([series.instances[0].reference()])
    assert metadata.PatientName == "Doe^John" and metadata.SOPInstanceUID == OTHER[2]


# WADO-URI, by the library's own addresses: ?requestType=WADO&…&contentType=application/dicom


@pytest.fixture(params=["", "/wado"])
def uri(web: Web, request: pytest.FixtureRequest) -> WadoURI:
    return WadoURI(requests.Session(), f"{web.url}{request.param}")


def test_download_of_a_study_by_wado_uri(web: Web, uri: WadoURI, tmp_path: Path) -> None:
    """The library finds the instances of the study by a search, and asks for them one by one."""
    trolley = Trolley(downloader=uri, searcher=QidoRS(requests.Session(), web.url))
    trolley.download(trolley.find_study(Query(PatientID="P7")), tmp_path)
    read = {str(ds.SOPInstanceUID): ds for ds in map(pydicom.dcmread, filter(Path.is_file, tmp_path.rglob("*")))}
    assert read == {str(ds.SOPInstanceUID): scans.read(scans.part10(ds)) for ds in scans.ct_series()}


def test_downloads_at_the_same_time_by_wado_uri(web: Web) -> None:
    """In the order in which they arrive."""
    uri = WadoURI(requests.Session(), web.url, use_async=True, max_workers=4)
    wanted = [
        refer(str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID), str(ds.SOPInstanceUID)) for ds in scans.ct_series()
    ]
    read = {str(ds.SOPInstanceUID): ds for ds in uri.datasets(wanted)}
    assert read == {str(ds.SOPInstanceUID): scans.read(scans.part10(ds)) for ds in scans.ct_series()}


def test_download_of_what_is_compressed_by_wado_uri(uri: WadoURI) -> None:
    """The default is Explicit VR Little Endian (PS3.18 §9.4.1.2), with the pixels that were stored."""
    (read,) = uri.datasets([refer(*uids_of(COMPRESSED))])
    assert read.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert (read.pixel_array == scans.read(COMPRESSED).pixel_array).all()


def test_download_of_what_is_not_stored_by_wado_uri(uri: WadoURI) -> None:
    with pytest.raises(DICOMTrolleyError, match="404"):
        uri.get_dataset(refer(OTHER[0], OTHER[1], "1.2.1.1.9"))


def refer(study: str, series: str, sop: str) -> InstanceReference:
    return InstanceReference(study_uid=study, series_uid=series, instance_uid=sop)
