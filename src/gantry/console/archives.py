"""A study or series as a ZIP of its files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import Any, cast

from starlette.types import ASGIApp

from gantry.console.rendering import attachment
from gantry.console.views import View
from gantry.errors import NotFound
from gantry.names import check_uids

_PIECE = 1 << 20


def download(view: View) -> ASGIApp:
    """The files as they are stored; the archive is made while it is sent. Raises StatusError."""
    path = view.path
    check_uids(path)
    index, blobs = view.context.seams.index, view.context.seams.blobs
    with view.api.begin("GET", f"{view.store}/dicomWeb/{path}"):
        store_id = index.resources.get_dicom_store(view.store).id
        if not index.instances.count_below(store_id, path):
            raise NotFound(f"{view.store} holds no {path}; the page of its studies lists those that it has")

    def pieces() -> Iterator[bytes]:
        out = _Sink()
        with zipfile.ZipFile(cast(Any, out), "w", zipfile.ZIP_STORED) as archive:
            for _, item in index.instances.walk_below(store_id, path):
                name = f"{item.study_instance_uid}/{item.series_instance_uid}/{item.sop_instance_uid}.dcm"
                entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                with archive.open(entry, "w", force_zip64=True) as target, blobs.open(item.blob_key) as source:
                    for chunk in source.chunks():
                        target.write(chunk)
                        yield from out.taken(_PIECE)
        yield from out.taken()

    return attachment(pieces(), "application/zip", f"{path.series or path.study}.zip")


class _Sink:
    """What an archive writes to and a response reads from; it cannot go back."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes, /) -> int:
        self._held.append(bytes(data))
        self._size += len(data)
        return len(data)

    def flush(self) -> None:
        return

    def taken(self, least: int = 0) -> Iterator[bytes]:
        """What there is, if it is more than ``least``."""
        if self._size > least:
            found, self._held, self._size = b"".join(self._held), [], 0
            yield found
