"""Replaces stored instances (PUT): each keeps its storage class, and its blob is in the place of that class.

An upload is written to the place of STANDARD, before anything is known of it. The index refuses it while the stored
instance has another class; its bytes are then copied to the place of that class, in the same lot. So a crash between
two steps leaves nothing but blobs of a lot, which the next start sweeps.
"""

from __future__ import annotations

from collections.abc import Sequence

from gantry.errors import Aborted
from gantry.operations.blob_keys import parse_place
from gantry.resources import Instance, StoredInstance
from gantry.seams import Seams
from gantry.studies.uploads import Request

_TRIES = 10
"""A try is repeated only if a change of class was committed since the last one: more than two are rare."""


def replace_all(
    seams: Seams, request: Request, instances: Sequence[Instance], written: list[Instance]
) -> list[Instance]:
    """Store instances and replace those with the same UIDs. Returns them as stored.

    ``written`` are all instances whose bytes this request has written; copies are added to it.
    Raises Aborted where the classes change again and again, and what the blob store and the index raise.
    """
    wanted, store_id = list(instances), request.store_id
    for _ in range(_TRIES):
        try:
            seams.index.uploads.store_instances(store_id, wanted, replace=True)
        except Aborted:
            stored = seams.index.instances.find_stored(store_id, [item.uids for item in wanted])
            wanted = [_move(seams, request, item, stored.get(item.uids), written) for item in wanted]
            request.flush()
        else:
            return wanted
    raise Aborted("the storage class of an instance is changed again and again; send the request again")


def _move(
    seams: Seams, request: Request, item: Instance, stored: StoredInstance | None, written: list[Instance]
) -> Instance:
    """The instance with the storage class of the stored one, and with its blob in the place of that class."""
    if stored is None:
        return item
    place = seams.place_of(stored.storage_class)
    moved = item._replace(storage_class=stored.storage_class)
    if parse_place(item.blob_key) != place:
        with seams.blobs.open(item.blob_key) as source:
            crc32c = seams.blobs.read_crc32cs([item.blob_key])[item.blob_key]
            key = request.writer(stored.storage_class).copy_from(source, item.uids, crc32c)
        moved = moved._replace(blob_key=key)
        written.append(moved._replace(description=None))
    return moved
