"""Which directories may lie where: nothing of the server may be an object of a bucket."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gantry.errors import FailedPrecondition, InvalidArgument

MOST_PATH_BYTES = 491
"""Of the data directory: SQLite opens no file whose path has more than 504 bytes (MAX_PATHNAME in its os_unix.c, less
the ending of its journal), and the index is called ``index.sqlite``."""

_KEYS = "service-accounts", "service-accounts.moved"
OWN = ("blobs", *_KEYS, "viewer", "index.sqlite", "index.postgresql", "lock", "places.json", "hold")
"""Names in the data directory that no directory of buckets may have, or lie below."""


def check_directories(data: Path, buckets: Path, storage_classes: Mapping[str, str]) -> None:
    """Raises InvalidArgument, which names the two directories. They need not exist."""
    _check_length(data)
    _check_buckets(data, buckets)
    for storage_class, root in storage_classes.items():
        if _is_within(root, buckets):
            raise InvalidArgument(
                f"storage_classes: {storage_class} is {root}, in the directory of the buckets {buckets}: stored "
                "instances would be objects of a bucket",
                advice="choose a directory outside of it",
            )
        if _is_within(buckets, os.path.join(root, storage_class)):
            raise InvalidArgument(
                f"buckets: {buckets} lies in {root}, among the stored instances of {storage_class}",
                advice="choose another directory",
            )
        _check_storage_class(data, storage_class, storage_classes)


def check_tables(data: Path, roots: Mapping[str, str]) -> None:
    """Raises InvalidArgument where tables would lie among files of the server."""
    for name, root in roots.items():
        if any(_is_within(root, data / own) for own in OWN):
            raise InvalidArgument(
                f"bigquery: {name} is {root}, which lies among the server's own files",
                advice="choose another directory",
            )


def _check_storage_class(data: Path, storage_class: str, roots: Mapping[str, str]) -> None:
    """No blobs of one place may lie among those of another, nor among other files of the server."""
    root = roots[storage_class]
    own = {str(data / name): "the server's own files" for name in OWN if name != "blobs"}
    own[str(data / "blobs" / "main")] = "the stored instances of the data directory"
    own |= {os.path.join(each, name): f"the stored instances of {name}" for name, each in roots.items()}
    for directory, what in own.items():
        if _is_within(root, directory):
            raise InvalidArgument(
                f"storage_classes: {storage_class} is {root}, which lies among {what}",
                advice="choose another directory",
            )
    if _is_within(data, os.path.join(root, storage_class)):
        raise InvalidArgument(
            f"data: {data} lies in {root}, among the stored instances of {storage_class}",
            advice="choose another directory",
        )


def overlaps_data(data: Path, bucket: str) -> bool:
    """Whether a bucket's directory, links followed, would show the server's own files."""
    return _is_within(data, bucket) or any(_is_within(bucket, data / name) for name in OWN)


def require_usable(path: Path) -> None:
    """Raises FailedPrecondition where the server's user may not use a directory. One that is read-only for all is no
    reason: what is stored can be read."""
    needed = os.R_OK | os.X_OK | (0 if os.statvfs(path).f_flag & os.ST_RDONLY else os.W_OK)
    if not os.access(path, needed):
        raise FailedPrecondition(
            f"data: {path} cannot be used: the server's user has no permission",
            advice="make it, and all that lies in it, the server's own (chown)",
        )


def _check_length(data: Path) -> None:
    longest = max(len(os.fsencode(path)) for path in (data, os.path.realpath(data)))
    if longest > MOST_PATH_BYTES:
        raise InvalidArgument(
            f"data: the path of the directory has {longest} bytes; SQLite needs one of {MOST_PATH_BYTES} or fewer",
            advice="choose a directory with a shorter path",
        )


def _check_buckets(data: Path, buckets: Path) -> None:
    if os.path.realpath(data) == os.path.realpath(buckets):
        raise InvalidArgument(
            f"buckets: {buckets} is the data directory, whose own files would be objects of buckets",
            advice="choose another directory",
        )
    if _is_within(data, buckets):
        raise InvalidArgument(
            f"data: {data} lies in the directory of the buckets {buckets}: the server's own files would be objects of "
            "a bucket",
            advice="choose directories that do not lie in each other",
        )
    for name in OWN:
        if _is_within(buckets, data / name):
            raise InvalidArgument(
                f"buckets: {buckets} lies in {data / name}, among the server's own files",
                advice="choose another directory",
            )


def _is_within(path: str | Path, above: str | Path) -> bool:
    """Whether ``path`` is ``above`` or lies below it, links followed."""
    inner, outer = os.path.realpath(path), os.path.realpath(above)
    return os.path.commonpath([inner, outer]) == outer
