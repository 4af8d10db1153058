"""What a provider of object storage must be able to do; everything else about buckets is built on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from gantry.errors import StatusError
from gantry.resources import ObjectMeta
from gantry.storage.remote.place import RemotePlace

LAST = "\U0010ffff"
"""Behind every other character in UTF-8: what begins with a key sorts before the key and this."""


class Page(NamedTuple):
    """A part of a listing. ``token`` asks for the next one; "" for the last."""

    objects: Sequence[ObjectMeta]
    folders: Sequence[str] = ()
    token: str = ""


class Parts(NamedTuple):
    """Of an object that was written in ``number`` parts. ``digests`` are those of the digests of all parts, by
    algorithm, in Base64. ``find_size`` asks for the bytes of a part, from 1; 0 where the provider does not tell."""

    number: int
    digests: Mapping[str, str]
    find_size: Callable[[int], int]


class Got(NamedTuple):
    """Bytes of an object, its Content-Encoding, and the tag of the version that they are of; "" where the answer does
    not say it."""

    data: bytes
    encoding: str = ""
    tag: str = ""


class Checksums(NamedTuple):
    """What the provider knows of the bytes of an object. ``has_md5``: its ETag is their MD5. ``whole`` are digests of
    all bytes by algorithm (``CRC32C``, ``SHA256``), in Base64."""

    has_md5: bool
    whole: Mapping[str, str]
    parts: Parts | None = None


class BegunUploads(NamedTuple):
    """A part of a listing of uploads in parts: keys and names of uploads. ``token`` asks for the next; None for the
    last."""

    found: Sequence[tuple[str, str]]
    token: tuple[str, str] | None = None


class Provider(Protocol):
    """One bucket. Each method is one request, or a few, without retries. Raises StatusError (``errors``): NotFound,
    PermissionDenied, Aborted for another object than ``tag`` says, Unavailable for what may pass, BucketAway.

    ``knows_create``: it has not refused the condition of ``create``."""

    place: RemotePlace

    @property
    def knows_create(self) -> bool: ...

    def exists(self) -> bool: ...

    def list_page(self, prefix: str, start_after: str, token: str, folders: bool, limit: int) -> Page:
        """Objects behind ``start_after``; with ``folders`` those below a ``/`` are one folder (key with ``/``)."""
        ...

    def head(self, key: str) -> ObjectMeta: ...

    def get(self, key: str, tag: str, offset: int, length: int) -> Got:
        """The first of ``length`` bytes, all of them unless the connection is cut. ``tag``: only of this version,
        unless empty."""
        ...

    def get_checksums(self, key: str, tag: str) -> Checksums: ...

    def put(self, key: str, data: bytes, tag: str = "") -> None:
        """``tag``: only in the place of this version, unless empty. Servers that do not know the condition put it in
        the place of any."""
        ...

    def create(self, key: str, data: bytes) -> None:
        """Only where there is no such object: raises Aborted otherwise. Servers that do not know the condition put it
        in the place of any."""
        ...

    def begin_parts(self, key: str) -> str:
        """An object that is written in parts; the name of the upload."""
        ...

    def find_begun(self, key: str) -> Sequence[str]:
        """Uploads of exactly this key that have no part yet; none where the provider ends them by itself."""
        ...

    def list_begun(self, prefix: str, token: tuple[str, str] | None) -> BegunUploads:
        """All uploads of keys that begin so and that have not ended; none where the provider cannot list them."""
        ...

    def put_part(self, key: str, upload: str, number: int, data: bytes) -> str:
        """Parts have numbers from 1 to 10,000. The tag of the part."""
        ...

    def end_parts(self, key: str, upload: str, tags: Sequence[str]) -> None: ...

    def drop_parts(self, key: str, upload: str) -> None: ...

    def copy(self, source: RemotePlace, found: ObjectMeta, key: str) -> None:
        """Server-side, from a bucket that ``can_copy_from``."""
        ...

    def can_copy_from(self, source: RemotePlace) -> bool: ...

    def delete(self, key: str) -> None: ...

    def delete_all(self, keys: Sequence[str]) -> dict[str, StatusError]:
        """At most 1,000. The errors of those that could not be deleted."""
        ...


@runtime_checkable
class CopiesParts(Protocol):
    """A provider that copies longer objects than ``most_copied`` bytes in parts of an upload, of ``copied_part``
    each."""

    most_copied: int
    copied_part: int

    def copy_part(
        self, source: RemotePlace, found: ObjectMeta, key: str, upload: str, number: int, offset: int, length: int
    ) -> str:
        """The tag of the part, for ``end_parts``."""
        ...
