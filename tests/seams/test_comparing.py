"""New bytes beside stored ones: the same, others, or nothing to compare with; and headers that are read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from gantry.errors import Code, DataLoss, DiskAway, NotFound, Status, StatusError, Unavailable, Unreadable
from gantry.header_packs import unpack
from gantry.ingest import Pair, compare_bytes, describe_headers, ingest_batch
from gantry.resources import Instance, ObjectMeta
from gantry.seams import OpenedObject
from gantry.storage.local import LocalBlobStore
from gantry.storage.local_blobs import LocalBlobs
from gantry.stored_bytes import find_damage, require_as_written
from tests.dicomweb.instances import instance

UIDS = ("1.2", "1.2.3", "1.2.3.4")
DATA = instance(UIDS, PatientID="A")


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    (tmp_path / "blobs").mkdir()
    return LocalBlobs(str(tmp_path / "blobs"))


def write(blobs: LocalBlobs, data: bytes) -> str:
    writer = blobs.writer("main/1/")
    key, _ = writer.put([data], UIDS)
    writer.flush()
    writer.close()
    return key


def damage(blobs: LocalBlobs, key: str, at: int) -> None:
    """One byte of a stored instance becomes another."""
    name, _, extent = key.partition("@")
    path = Path(blobs.root.decode()) / name
    data = bytearray(path.read_bytes())
    data[int(extent.partition("+")[0]) + at] ^= 1
    path.write_bytes(data)


def compare(blobs: Any, new: str, stored: str, uids: tuple[str, str, str] = UIDS) -> bool | Status:
    (verdict,) = compare_bytes([Pair(new, stored, len(DATA), uids)], blobs=blobs)
    return verdict


def test_bytes_that_differ_from_whole_ones_are_refused(blobs: LocalBlobs) -> None:
    stored, new = write(blobs, DATA), write(blobs, instance(UIDS, PatientID="B"))
    assert compare(blobs, new, stored) is False
    assert compare(blobs, write(blobs, DATA), stored) is True


@pytest.mark.parametrize("at", [len(DATA) - 1, 200, 129])
def test_bytes_that_differ_from_damaged_ones_have_nothing_to_be_compared_with(blobs: LocalBlobs, at: int) -> None:
    stored, new = write(blobs, DATA), write(blobs, DATA)
    damage(blobs, stored, at)
    verdict = compare(blobs, new, stored)
    assert isinstance(verdict, Status) and (verdict.code, "damaged" in verdict.message) == (Code.DATA_LOSS, True)


def test_bytes_of_another_instance_in_that_place_are_damage(blobs: LocalBlobs) -> None:
    stored, new = write(blobs, DATA), write(blobs, instance(UIDS, PatientID="B"))
    verdict = compare(blobs, new, stored, ("1.2", "1.2.3", "1.2.3.5"))
    assert isinstance(verdict, Status) and verdict.code is Code.DATA_LOSS
    assert "another instance" in verdict.message and "1.2.3.4" in verdict.message


class Failing(LocalBlobs):
    """``failing``: the key whose bytes, or whose name, raise ``error``."""

    failing, error, at_open = "", Exception(), False

    def open(self, key: str) -> OpenedObject:
        if key != self.failing:
            return super().open(key)
        if self.at_open:
            raise self.error
        opened = super().open(key)
        error = self.error

        def read_at(_offset: int, _length: int) -> bytes:
            raise error

        opened.read_at = read_at  # type: ignore[method-assign]
        return opened


@pytest.mark.parametrize(("error", "at_open"), [(DataLoss("x"), True), (NotFound("x"), True), (DataLoss("x"), False)])
def test_new_bytes_that_cannot_be_read_say_nothing_of_the_stored_ones(
    blobs: LocalBlobs, error: Exception, at_open: bool
) -> None:
    """Else what is stored would be replaced."""
    failing = Failing(blobs.root.decode())
    stored, new = write(blobs, DATA), write(blobs, DATA)
    failing.failing, failing.error, failing.at_open = new, error, at_open
    verdict = compare(failing, new, stored)
    assert isinstance(verdict, Status) and verdict.code is Code.UNAVAILABLE
    assert "the new bytes cannot be read" in verdict.message
    failing.failing = stored
    verdict = compare(failing, new, stored)
    assert isinstance(verdict, Status) and verdict.code in (Code.DATA_LOSS, Code.NOT_FOUND)


def test_headers_are_described_from_packs_and_from_blobs(blobs: LocalBlobs, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    source = LocalBlobStore(str(tmp_path / "source"))
    source.put("a", [DATA])
    ((outcome, *_),) = ingest_batch(
        [ObjectMeta("a", 0)],
        source=source,
        source_uri="gs://b/",
        blobs=blobs,
        blob_prefix="main/2/1",
        storage_class="STANDARD",
    )
    assert isinstance(outcome, Instance) and outcome.description is not None
    (entry,) = unpack(outcome.description.pack)
    bad = write(blobs, b"x" * 1000)
    of_pack, of_blob, none = describe_headers([entry, outcome.blob_key, bad], blobs=blobs)
    assert of_pack == of_blob and of_pack is not None and none is None
    assert (of_pack.study, of_pack.series) == (outcome.description.study, outcome.description.series)


def test_stored_bytes_that_cannot_be_read_now_give_way_to_the_original_alone(blobs: LocalBlobs) -> None:
    """They may be readable later. What has another size is another instance for sure."""
    failing = Failing(blobs.root.decode())
    stored, same = write(blobs, DATA), write(blobs, DATA)
    longer, other = write(blobs, DATA + bytes(8)), write(blobs, DATA[:-1] + b"\1")
    failing.failing, failing.error = stored, Unreadable("the disk cannot read them")
    assert compare(failing, longer, stored) is False
    for new, code in ((same, Code.DATA_LOSS), (other, Code.UNAVAILABLE)):
        verdict = compare(failing, new, stored)
        assert isinstance(verdict, Status) and verdict.code is code and "the disk cannot read them" in verdict.message
    (verdict,) = compare_bytes([Pair(longer, stored, len(DATA) - 1, UIDS)], blobs=blobs)
    assert isinstance(verdict, Status) and verdict.code is Code.DATA_LOSS


def test_bytes_are_as_they_were_written_where_their_checksum_is_known(blobs: LocalBlobs) -> None:
    key = write(blobs, DATA)
    with blobs.open(key) as opened:
        require_as_written(opened, google_crc32c.value(DATA))
        require_as_written(opened, None)
        with pytest.raises(DataLoss):
            require_as_written(opened, google_crc32c.value(DATA) ^ 1)


@pytest.mark.parametrize(
    "unknown", [DataLoss("x"), NotFound("x"), Unavailable("x")], ids=["damaged", "gone", "unreadable"]
)
def test_nobody_knows_the_original_where_its_checksum_cannot_be_read(blobs: LocalBlobs, unknown: StatusError) -> None:
    """The stored bytes stay, whatever came; a disk that is away is waited for."""
    failing = Failing(blobs.root.decode())
    stored, same = write(blobs, DATA), write(blobs, DATA)
    failing.failing, failing.error = stored, Unreadable("the disk cannot read them")
    raised = unknown

    def read_crc32cs(_keys: object) -> dict[str, int | None]:
        raise raised

    failing.read_crc32cs = read_crc32cs  # type: ignore[method-assign]
    verdict = compare(failing, same, stored)
    assert isinstance(verdict, Status)
    assert (verdict.code, verdict.what) == (Code.UNAVAILABLE, "the disk cannot read them")
    raised = DiskAway("the disk is away")
    with pytest.raises(DiskAway):
        compare(failing, same, stored)


@pytest.mark.parametrize(("spoilt", "anew", "damaged"), [(0, 0, False), (1, 1, False), (2, 1, True)])
def test_bytes_are_damaged_where_they_are_so_twice(blobs: LocalBlobs, spoilt: int, anew: int, damaged: bool) -> None:
    """Once may be their way over a network. Those that are whole are read once."""
    key, asked = write(blobs, DATA), list[int]()

    class Spoiling(LocalBlobs):
        def open(self, key: str) -> OpenedObject:
            opened = super().open(key)
            read_at = opened.read_at

            def read(offset: int, length: int) -> bytes:
                data = read_at(offset, length)
                return data if len(asked) >= spoilt else bytes(len(data))

            opened.read_at = read  # type: ignore[method-assign]
            opened.read_anew = lambda: not asked.append(1)  # type: ignore[method-assign, func-returns-value]
            return opened

    found = find_damage(Spoiling(blobs.root.decode()), key, len(DATA), UIDS)
    assert (len(asked), "damaged" in found) == (anew, damaged)
