"""Which stored headers are damaged, and what a replacement says of the instance before and after."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gantry.errors import Code, Status
from gantry.header_packs import pack, unpack
from gantry.healing import find_damaged_headers, is_lost, make_replacement, make_unknown
from gantry.ingest import ingest_batch
from gantry.resources import HeaderAttributes, Instance, ObjectMeta, Replacement, StoredInstance
from gantry.storage.local import LocalBlobStore
from gantry.storage.local_blobs import LocalBlobs
from tests.dicomweb.instances import instance

FIRST, SECOND, OTHER = ("1.2", "1.2.3", "1.2.3.1"), ("1.2", "1.2.3", "1.2.3.2"), ("1.2", "1.2.3", "1.2.3.9")


@pytest.fixture
def ingested(tmp_path: Path) -> list[Instance]:
    """Two instances of a series that differ in what the index keeps of their study and series."""
    for name in ("source", "blobs"):
        (tmp_path / name).mkdir()
    source = LocalBlobStore(str(tmp_path / "source"))
    source.put("1", [instance(FIRST, PatientID="A", Modality="CT")])
    source.put("2", [instance(SECOND, PatientID="B", Modality="MR")])
    found = ingest_batch(
        [ObjectMeta("1", 0), ObjectMeta("2", 0)],
        source=source,
        source_uri="gs://b/",
        blobs=LocalBlobs(str(tmp_path / "blobs")),
        blob_prefix="main/1/1",
        storage_class="STANDARD",
    )
    return [outcome for outcome, _, _ in found if isinstance(outcome, Instance)]


def row(uids: tuple[str, str, str], pack_id: int | None, pack_number: int | None) -> StoredInstance:
    return StoredInstance(*uids, "1.4", "1.5", "k", 9, "STANDARD", 1, 1, *[None] * 5, pack_id, pack_number)


def seams_with(packs: dict[int, bytes]) -> Any:
    def get_header_packs(wanted: list[int]) -> dict[int, bytes]:
        return {number: packs[number] for number in wanted if number in packs}

    return SimpleNamespace(index=SimpleNamespace(instances=SimpleNamespace(get_header_packs=get_header_packs)))


def headers_of(ingested: list[Instance]) -> list[bytes]:
    (data,) = {each.description.pack for each in ingested if each.description is not None}
    return unpack(data)


@pytest.mark.parametrize(
    ("uids", "pack_id", "number", "damaged"),
    [
        (FIRST, 1, 0, False),
        (SECOND, 1, 1, False),
        (SECOND, 1, 0, True),
        (OTHER, 1, 0, True),
        (FIRST, 1, 2, True),
        (FIRST, 1, -1, True),
        (FIRST, 1, None, True),
        (FIRST, 2, 0, True),
        (FIRST, 3, 0, True),
        (FIRST, 4, 0, True),
        (FIRST, None, None, False),
    ],
)
def test_a_header_is_whole_where_its_pack_has_it_in_its_place(
    ingested: list[Instance], uids: tuple[str, str, str], pack_id: int | None, number: int | None, damaged: bool
) -> None:
    """Pack 2 is no pack, 3 is missing, 4 holds what is no header. Without a pack the header is in the file."""
    packs = {1: pack(headers_of(ingested)), 2: b"no pack", 4: pack([b"\xff" * 50])}
    assert find_damaged_headers(seams_with(packs), [row(uids, pack_id, number)]) == ({uids} if damaged else set())


def test_a_replacement_names_what_the_header_before_said(ingested: list[Instance]) -> None:
    _, after = ingested
    header = headers_of(ingested)[0]
    found = make_replacement(seams_with({7: pack([header])}), row(FIRST, 7, 0), after)
    assert (found.study_before.patient_id, found.series_before.modality) == ("A", "CT")
    assert_described_as_itself(found)


def test_where_the_header_before_is_damaged_it_is_taken_for_the_new_one(ingested: list[Instance]) -> None:
    _, after = ingested
    found = make_replacement(seams_with({}), row(SECOND, 7, 0), after)
    assert (found.study_before.patient_id, found.series_before.modality) == ("B", "MR")
    assert_described_as_itself(found)


def assert_described_as_itself(found: Replacement) -> None:
    """Not as the first instance of the batch, whose attributes its description had."""
    described = found.after.description
    assert described is not None
    assert (described.study.patient_id, described.series.modality) == ("B", "MR")


def test_without_any_header_nothing_is_known_of_the_one_before(ingested: list[Instance]) -> None:
    after = ingested[0]._replace(description=None)
    found = make_replacement(seams_with({}), row(FIRST, 7, 0), after)
    nothing = HeaderAttributes()
    assert (found.study_before, found.series_before, found.after) == (nothing.study, nothing.series, after)


def test_where_no_header_is_kept_the_new_instance_is_what_its_description_says(ingested: list[Instance]) -> None:
    """Its header is too long for a pack."""
    after = ingested[1]
    assert after.description is not None
    own = after.description.study._replace(patient_id="C"), after.description.series._replace(modality="US")
    after = after._replace(description=after.description._replace(pack=b"", study=own[0], series=own[1]))
    found = make_replacement(seams_with({}), row(SECOND, 7, 0), after)
    assert (found.study_before, found.series_before, found.after) == (*own, after)


@pytest.mark.parametrize(
    ("verdict", "lost"),
    [
        (True, False),
        (False, False),
        (Status(Code.DATA_LOSS, "x"), True),
        (Status(Code.NOT_FOUND, "x"), True),
        (Status(Code.UNAVAILABLE, "x"), False),
    ],
)
def test_bytes_are_lost_where_there_is_nothing_to_compare_with(verdict: bool | Status, lost: bool) -> None:
    assert is_lost(verdict) is lost


def test_new_bytes_that_nobody_can_compare_are_data_loss_with_the_reason_and_what_to_do() -> None:
    said = make_unknown("studies/1", Status(Code.UNAVAILABLE, "the disk cannot read them", "replace the disk"))
    assert said.code is Code.DATA_LOSS and said.advice == "replace the disk"
    assert "(the disk cannot read them): studies/1" in said.what
