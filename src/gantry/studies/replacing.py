"""Replaces stored instances (PUT): each keeps its storage class, and its blob is in the place of that class.

An upload is written to the place of STANDARD, because its UIDs are not known yet. The index refuses it if the stored
instance has another class; the blob is then copied to the place of that class, under the same key, in the same lot. So
a crash between two steps leaves only blobs of a lot, which the next start removes.
"""

from __future__ import annotations

from collections.abc import Sequence

from gantry.errors import Aborted
from gantry.operations.blob_keys import parse_place
from gantry.resources import Instance, StoredInstance
from gantry.seams import BlobStore, Seams

_TRIES = 10
"""A try is repeated only if a change of class was committed since the last one: more than two are rare."""


def replace_all(
    seams: Seams, blobs: BlobStore, store_id: int, instances: Sequence[Instance], written: list[Instance]
) -> list[Instance]:
    """Store instances and replace those with the same UIDs. Returns them as stored.

    ``written`` are all instances whose blobs this request has written; copies are added to it before they are written.
    Raises Aborted if the classes change at every try, and the errors of the blob store and the index.
    """
    wanted = list(instances)
    for _ in range(_TRIES):
        try:
            seams.index.uploads.store_instances(store_id, wanted, replace=True)
        except Aborted:
            stored = seams.index.instances.find_stored(store_id, [item.uids for item in wanted])
            wanted = [_move(seams, blobs, item, stored.get(item.uids), written) for item in wanted]
            blobs.flush()
        else:
            return wanted
    raise Aborted("the storage class of an instance is changed again and again; send the request again")


def _move(
    seams: Seams, blobs: BlobStore, item: Instance, stored: StoredInstance | None, written: list[Instance]
) -> Instance:
    """The instance with the storage class of the stored one, and with its blob in the place of that class."""
    if stored is None:
        return item
    place = seams.place_of(stored.storage_class)
    _, _, rest = item.blob_key.partition("/")
    moved = item._replace(storage_class=stored.storage_class, blob_key=f"{place}/{rest}")
    if parse_place(item.blob_key) != place and moved.blob_key not in {each.blob_key for each in written}:
        written.append(moved._replace(description=None))
        with blobs.open(item.blob_key) as source:
            blobs.copy_from(source, moved.blob_key)
    return moved
