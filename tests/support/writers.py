"""Writers of blobs of which a test breaks one call; all others reach the real writer."""

from __future__ import annotations

from collections.abc import Iterable

from gantry.resources import Uids
from gantry.seams import BlobWriter, OpenedObject


class WrappedWriter:
    """Does what ``writer`` does."""

    def __init__(self, writer: BlobWriter) -> None:
        self.writer = writer

    def put(self, chunks: Iterable[bytes], uids: Uids | None = None) -> tuple[str, int]:
        return self.writer.put(chunks, uids)

    def copy_from(self, source: OpenedObject, uids: Uids, written: int | None = None) -> str:
        return self.writer.copy_from(source, uids, written)

    def discard(self, key: str) -> None:
        self.writer.discard(key)

    def flush(self) -> None:
        self.writer.flush()

    def close(self) -> tuple[str, ...]:
        return self.writer.close()

    @property
    def left(self) -> tuple[str, ...]:
        return self.writer.left

    @property
    def late(self) -> tuple[str, ...]:
        return self.writer.late
