"""Steps of the storage that are durable when they return: a power cut right afterwards takes nothing of them back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.power.watched import Watched

BLOBS = """
from gantry.storage.local_blobs import LocalBlobs
def fill(blobs, count=3):
    writer = blobs.writer('main/1/2/')
    keys = [writer.put([b'BYTES' * 1000], ('1', '1.1', f'1.1.{{number}}'))[0] for number in range(count)]
    writer.flush()
    return writer, keys
blobs = LocalBlobs('other', shared={shared})
"""
SHARED = pytest.mark.parametrize("shared", [True, False])


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    yield Watched(tmp_path)


def count_kept(watched: Watched) -> int:
    """Instances whose bytes are on the disk."""
    return sum(data.count(b"BYTES") for data in watched.kept().values() if data) // 1000


@SHARED
def test_what_was_flushed_is_there(watched: Watched, shared: bool) -> None:
    watched.run(BLOBS.format(shared=shared) + "fill(blobs)")
    assert count_kept(watched) == 3


@SHARED
@pytest.mark.parametrize(
    ("act", "left"),
    [
        ("blobs.delete_prefix('main/1/')", 0),
        ("blobs.delete_all(keys)", 0),
        ("blobs.delete_all(keys[1:])", 1),
        ("blobs.free_rest(keys[0].partition('@')[0], [])", {True: 0, False: 2}),
    ],
)
def test_what_was_deleted_does_not_come_back(
    watched: Watched, shared: bool, act: str, left: int | dict[bool, int]
) -> None:
    watched.run(BLOBS.format(shared=shared) + f"writer, keys = fill(blobs); writer.close(); {act}")
    assert count_kept(watched) == (left if isinstance(left, int) else left[shared])


@SHARED
def test_what_a_writer_has_discarded_does_not_come_back_once_it_is_closed(watched: Watched, shared: bool) -> None:
    """Other instances of the same segment were flushed with it, and after it."""
    watched.run(BLOBS.format(shared=shared) + "writer, keys = fill(blobs); writer.discard(keys[1]); writer.close()")
    assert count_kept(watched) == 2


@SHARED
def test_what_a_writer_has_not_flushed_does_not_come_back_once_it_is_closed(watched: Watched, shared: bool) -> None:
    """Its bytes may be on the disk: whoever syncs the file next keeps them."""
    late = "writer.put([b'BYTES' * 1000], ('1', '1.1', '1.1.9'))"
    sync = "import os; call('syncfs', os.open('other', 0))"
    watched.run(BLOBS.format(shared=shared) + f"writer, keys = fill(blobs); {late}; {sync}; writer.close()")
    assert count_kept(watched) == 3


def test_an_object_that_replaces_another_one_is_synced_before_it_has_its_name(watched: Watched) -> None:
    put = """
from gantry.storage.local import LocalBlobStore
store = LocalBlobStore('.')
store.put('old', [b'new'])
"""
    watched.run(put + "sync('.')")
    assert watched.kept()["old"] == b"old"
    watched.run(put + "store.flush()")
    assert {name: data for name, data in watched.kept().items() if data} == {"old": b"new"}


def test_a_new_directory_and_all_above_it_have_their_names(watched: Watched) -> None:
    act = "make_directory(Path('a/b/c').absolute())"
    watched.run(f"from pathlib import Path; from gantry.durable_files import make_directory; {act}")
    assert "a/b/c" in watched.kept()


ACCOUNTS = """
from pathlib import Path
from gantry.access.key_files import KeyFiles
from gantry.access.service_accounts import ServiceAccounts
accounts = ServiceAccounts(KeyFiles(Path('accounts').absolute()))
"""


@pytest.mark.slow
def test_a_key_of_a_service_account_that_was_deleted_does_not_come_back(watched: Watched) -> None:
    pytest.importorskip("jwt")
    watched.run(ACCOUNTS + "accounts.create('scanner', 'p', 'http://localhost/token')")
    (key,) = (name for name in watched.kept() if name.endswith(".json"))
    watched.run(ACCOUNTS + f"accounts.delete({Path(key).stem!r})")
    assert key not in watched.kept()
