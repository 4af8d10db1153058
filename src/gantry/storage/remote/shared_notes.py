"""Which uploads in parts an export has begun, in the bucket of stored instances: for servers that share it. Whoever
takes an export over, or sweeps after it, ends what a server has left that is gone with its data directory."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import suppress

from gantry.errors import NotFound, StatusError
from gantry.storage.remote.blob_bucket import BlobBucket
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.notes import name_note, parse_note
from gantry.storage.remote.place import RemotePlace

logger = logging.getLogger(__name__)


class SharedNotes:
    """As ``UploadNotes``; each note is an object below ``prefix``. ``name`` is what messages call the bucket. Can be
    pickled."""

    def __init__(self, place: RemotePlace, prefix: str, name: str) -> None:
        self._bucket = BlobBucket(RemoteBucket(place), prefix, name)

    def add(self, key: str, upload: str = "") -> None:
        """Raises DiskAway, Unavailable."""
        self._bucket.put_new(name_note(key, upload), json.dumps([key, upload]).encode())

    def remove(self, key: str, upload: str = "") -> None:
        with suppress(StatusError):
            self._bucket.delete(name_note(key, upload))

    def list(self) -> Iterator[tuple[str, str]]:
        """Raises DiskAway, Unavailable."""
        with self._bucket.reading():
            names = [each.key[len(self._bucket.prefix) :] for each in self._bucket.bucket.list(self._bucket.prefix)]
        for name in names:
            yield from self._read(name)

    def _read(self, name: str) -> Iterator[tuple[str, str]]:
        try:
            with self._bucket.reading():
                data = self._bucket.client.get_any(self._bucket.locate(name), "", 0, self._bucket.head(name).size).data
        except NotFound:
            return  # its upload has ended meanwhile
        found = parse_note(data)
        if found is None:
            logger.error("the note of an upload, %s, cannot be read and is removed", name)
            self._bucket.delete(name)
            return
        yield found

    def clear(self) -> None:
        """Nothing is left where no upload is written down."""
