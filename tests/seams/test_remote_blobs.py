"""Segments and objects of their own in a bucket: the suites of every storage of instances, with each provider."""

from __future__ import annotations

import pytest

from gantry.errors import Unavailable
from gantry.ingest import ingest_batch
from gantry.operations.export_dicom_data import AS_THEY_ARE, Written, export_batch
from gantry.operations.set_blob_storage_settings import copy_batch
from gantry.resources import Instance, ObjectMeta, StoredInstance
from gantry.seams import Blobs, BlobStore
from gantry.storage.places import PlacedBlobStore
from gantry.storage.remote.blobs import RemoteBlobs
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.gcs import Gcs
from gantry.storage.remote.place import RemotePlace
from tests.seams.blob_store_suite import BlobStoreSuite, keys, read
from tests.seams.blob_writer_suite import PREFIX, BlobWriterSuite, instance, objects_of, uids, write
from tests.seams.object_servers import Server
from tests.support.dicom import make_instance


@pytest.fixture
def blobs(place: RemotePlace) -> Blobs:
    return RemoteBlobs(place, "of/gantry/", "the bucket of stored instances")


class TestStore(BlobStoreSuite):
    @pytest.fixture
    def store(self, blobs: Blobs) -> Blobs:
        return blobs

    @pytest.mark.slow  # thousands of listings
    def test_every_prefix_start_and_depth_gives_that_part_of_the_whole(self, store: BlobStore) -> None:
        super().test_every_prefix_start_and_depth_gives_that_part_of_the_whole(store)


class TestWriter(BlobWriterSuite):
    pass


@pytest.mark.slow
class TestWithoutPrefix(BlobWriterSuite):
    @pytest.fixture
    def blobs(self, place: RemotePlace) -> Blobs:
        return PlacedBlobStore({"main": RemoteBlobs(place, "", "b"), "ARCHIVE": RemoteBlobs(place, "", "b")})


TIERS = {"s3": ("STANDARD_IA", "DEEP_ARCHIVE"), "gcs": ("NEARLINE", ""), "azure": ("Cool", "Archive")}
"""Of each provider one that can be read, and one that must be restored first; Google has none such."""


def keeps_class(server: Server, found: ObjectMeta) -> bool:
    return found.key.endswith(".seg") or not server.forgets_class


def test_new_objects_have_the_tier_of_their_place(server: Server, place: RemotePlace) -> None:
    """Also those in parts, and those that were written anew because something in them was freed."""
    tier, _ = TIERS[server.provider]
    blobs = RemoteBlobs(place, "", "b", tier)
    found = write(blobs, [instance(5000), instance(6000), instance(9_000_000), instance(20_000_000)])
    blobs.delete(found[0])
    assert blobs.count_freed(min(objects_of(found[:1]))) == 1
    assert {each.storage_class for each in blobs.list() if keeps_class(server, each)} == {tier}
    assert [read(blobs, key) for key in found[1:3]] == [instance(6000), instance(9_000_000)]


def test_what_is_archived_says_so_at_once(server: Server, place: RemotePlace) -> None:
    _, tier = TIERS[server.provider]
    if not tier:
        pytest.skip("Google gives bytes of every class at once")
    blobs = RemoteBlobs(place, "", "b", tier)
    found = write(blobs, [instance(5000), instance(6000), instance(2_000_000), instance(9_000_000)])
    for key in found:
        with pytest.raises(Unavailable, match=r"are archived.*cannot be read.*Restore them there") as said:
            blobs.open(key)
        assert said.value.waits_for is None
    with pytest.raises(Unavailable, match="are archived"):
        list(blobs.entries(min(objects_of(found[:1]))))
    (failed,) = blobs.delete_all(found[:1]).values()
    assert isinstance(failed, Unavailable) and failed.waits_for is None
    assert blobs.delete_all(sorted(objects_of(found))) == {}
    assert keys(blobs) == []


def test_what_is_archived_already_may_stay_there(server: Server, place: RemotePlace) -> None:
    """Another operation sets the same class for instances of which some have it, and one has not."""
    _, tier = TIERS[server.provider]
    archive = RemoteBlobs(place, "", "b", tier)
    blobs = PlacedBlobStore({"main": RemoteBlobs(place, "", "b"), "ARCHIVE": archive})
    in_archive = PREFIX.replace("main/", "ARCHIVE/")
    found = [*write(blobs, [instance(5000), instance(9_000_000)], in_archive), *write(blobs, [instance(6000)])]
    sizes = zip(found, (5000, 9_000_000, 6000), strict=True)
    rows = [
        StoredInstance(*uids(number), "1.2", "1.2", key, size, "STANDARD", 1, 1, *[None] * 7)
        for number, (key, size) in enumerate(sizes)
    ]
    *stay, moved = copy_batch(rows, blobs=blobs, place="ARCHIVE", blob_prefix="7/op/b1-a0/000.")
    assert stay == found[:2]
    assert isinstance(moved, str) and moved.startswith("ARCHIVE/7/op/b1-a0/000.")


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers of Google's protocol ask for no credentials, and without any nothing is copied."""
    monkeypatch.setattr(Gcs, "can_copy_from", lambda *_: True)


@pytest.mark.usefixtures("copying")
def test_a_large_object_of_a_bucket_is_copied_by_the_provider(
    server: Server, place: RemotePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small ones share a segment, which no provider can write."""
    source = RemoteBucket(place)
    source.put("large", [instance(9_000_000)])
    source.put("small", [instance(5000)])
    blobs = RemoteBlobs(place, "blobs/", "b", TIERS[server.provider][0])
    writer = blobs.writer(PREFIX)
    with source.open("large") as large, source.open("small") as small:
        monkeypatch.setattr(large, "chunks", None)
        found = [writer.copy_from(large, uids(1)), writer.copy_from(small, uids(2))]
    writer.flush()
    writer.close()
    assert [read(blobs, key) for key in found] == [instance(9_000_000), instance(5000)]
    assert blobs.read_crc32cs(found[:1]) == {found[0]: None}
    assert {each.storage_class for each in blobs.list() if keeps_class(server, each)} == {TIERS[server.provider][0]}


@pytest.mark.usefixtures("copying")
def test_a_large_blob_is_exported_by_the_provider(
    server: Server, place: RemotePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, target = RemoteBlobs(place, "blobs/", "b"), RemoteBucket(place)
    (key,) = write(blobs, [instance(9_000_000)])
    with blobs.open(key) as opened:
        monkeypatch.setattr(opened, "chunks", None)
        assert target.copy_from(opened, "out/1") == 9_000_000
    assert read(target, "out/1") == instance(9_000_000)


def test_bytes_that_the_provider_copies_are_not_counted(place: RemotePlace) -> None:
    """But for those of Google's servers of the tests, which copy nothing without credentials."""
    source = RemoteBucket(place)
    data = make_instance(*uids(1), pixel_bytes=9_000_000)
    source.put("in/large", [data])
    source.put("in/small", [make_instance(*uids(2))])
    objects = list(source.list("in/"))
    blobs = RemoteBlobs(place, "blobs/", "b")
    outcomes = ingest_batch(
        objects, source=source, source_uri="s3://b/", blobs=blobs, blob_prefix="main/1/op/a", storage_class="STANDARD"
    )
    sizes = [each.size for each in objects]
    assert [counted for _, counted, _ in outcomes] == (sizes if place.anonymous else [0, sizes[1]])
    stored = [found for found, _, _ in outcomes if isinstance(found, Instance)]
    assert next(read(blobs, found.blob_key) for found in stored) == data
    rows = [StoredInstance(*uids(number), "1.2", "1.2", found.blob_key, size, "STANDARD", 1, 1, *[None] * 7)
            for number, (found, size) in enumerate(zip(stored, sizes, strict=True))]  # fmt: skip
    target = RemoteBucket(place)
    exported = export_batch(rows, blobs=blobs, destination=target, prefix="out/", form=AS_THEY_ARE)
    assert [each.bytes for each in exported if isinstance(each, Written)] == (
        sizes if place.anonymous else [0, sizes[1]]
    )
    assert sorted(each.size for each in target.list("out/")) == sorted(sizes)
