"""*Import to DICOM store*: a bucket, folder or pattern, and a preview of what it matches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from gantry.api.methods import PREVIEW_IMPORT
from gantry.calls_that_hang import giving_up
from gantry.console.filter_files import list_buckets
from gantry.console.operations import go_to_operation
from gantry.console.page_call import Crumb, PageCall, address_of, crumbs_of
from gantry.console.refusals import Refused
from gantry.errors import StatusError
from gantry.languages import _
from gantry.operations.import_dicom_data import list_matching
from gantry.resources import BlobStorageClass, ObjectMeta
from gantry.seams import Bucket, BucketUse
from gantry.storage.uris import UriPattern, address_of_bucket, parse_bucket

_SHOWN, _COUNTED, _SECONDS = 20, 10_000, 1.0  # of a preview: objects shown, objects counted, time for counting
_FOLDERS, _FILES = 500, 50  # shown of one folder
ANSWER_SECONDS = 5.0
"""For a bucket to answer a page: a few threads answer all pages, and one that waits answers none."""


def show_form(call: PageCall, error: StatusError | None = None) -> Response:
    call.api.get(str(call.store))
    values = {
        "bucket": call.query.get("bucket", ""),
        "uri": call.query.get("uri", ""),
        "storage_class": "STANDARD",
    } | call.form
    return call.show(
        "import.html",
        200 if error is None else error.http,
        crumbs=(*crumbs_of(call.store), Crumb(_("Import"), "")),
        name=call.store,
        here=f"{address_of(call.store)}/import",
        buckets=list_buckets(call, "read"),
        classes=list(BlobStorageClass),
        given=values,
        is_advanced=bool(values["uri"]) or values.get("modify") == "on",
        error=error,
    )


def start(call: PageCall) -> Response:
    """Start an import of the whole bucket or the chosen folder, unless the path was modified."""
    try:
        body = {
            "gcsSource": {"uri": _uri(call.form)},
            "blobStorageSettings": {"blobStorageClass": call.form.get("storage_class", "STANDARD")},
        }
        answer: dict[str, Any] = call.api.send("POST", f"{call.store}:import", body)
    except StatusError as error:
        return show_form(call, error)
    return go_to_operation(call, answer)


def _uri(given: dict[str, str]) -> str:
    """Raises InvalidArgument."""
    if given.get("modify") == "on":
        return given.get("uri", "").strip()
    if not given.get("bucket"):
        raise Refused(_("choose a bucket in the list Location"))
    return f"{address_of_bucket(given['bucket'])}/{given.get('prefix', '')}**"


def list_folders(call: PageCall) -> Response:
    """The folders and objects directly in a folder of a bucket."""
    bucket, prefix = call.query.get("bucket", ""), call.query.get("prefix", "")
    if not bucket:
        return call.show("import_folders.html", bucket="", folders=(), files=(), parts=(), here="", prefix="")
    files = []
    with giving_up(ANSWER_SECONDS, f"bucket {address_of_bucket(bucket)}"):
        source = open_source(call, bucket, prefix)
        names = source.list_folders(prefix, _FOLDERS + 1)
        for each in source.list(prefix, depth=prefix.count("/")):
            files.append(each)
            if len(files) > _FILES:
                break
    parts = prefix.split("/")[:-1]
    return call.show(
        "import_folders.html",
        here=f"{address_of(call.store)}/import",
        bucket=bucket,
        prefix=prefix,
        parts=[(part, "/".join(parts[: at + 1]) + "/") for at, part in enumerate(parts)],
        folders=[(each if _is_text(each) else "", each[len(prefix) :]) for each in names[:_FOLDERS]],
        more_folders=len(names) > _FOLDERS,
        files=[(each, each.key[len(prefix) :]) for each in files[:_FILES]],
        more_files=len(files) > _FILES,
    )


def _is_text(name: str) -> bool:
    """Whether a name is Unicode text; the API cannot import an object with another name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def show_preview(call: PageCall) -> Response:
    """How many objects a path matches, and the first of them. Counting ends after a second."""
    try:
        pattern = UriPattern.parse(_uri(dict(call.query)))
        with giving_up(ANSWER_SECONDS, f"bucket {pattern.bucket}"):
            found = _look(open_source(call, pattern.bucket, pattern.prefix), pattern)
    except StatusError as error:
        return call.show("import_preview.html", error=error, **vars(_Preview()), pattern="")
    return call.show("import_preview.html", error=None, **vars(found), pattern=str(pattern))


@dataclass(frozen=True)
class _Preview:
    """``count`` objects of ``size`` bytes in all, unless there are more (not ``complete``)."""

    first: Sequence[ObjectMeta] = ()
    count: int = 0
    size: int = 0
    complete: bool = True


def _look(source: Bucket, pattern: UriPattern) -> _Preview:
    until = time.monotonic() + _SECONDS
    first: list[ObjectMeta] = []
    count, size = 0, 0
    # Listing all names lets the loop end in time where nothing matches.
    walk = source.list(pattern.prefix, depth=pattern.depth) if pattern.has_wildcard else list_matching(source, pattern)
    for found in walk:
        if count == _COUNTED or time.monotonic() > until:
            return _Preview(first, count, size, complete=False)
        if not (pattern.matches(found.key) or found.problem):
            continue
        count, size = count + 1, size + found.size
        if len(first) < _SHOWN:
            first.append(found)
    return _Preview(first, count, size)


def open_source(call: PageCall, bucket: str, prefix: str) -> Bucket:
    """Open a bucket to show its names: only to callers who may import, with a line in the audit log.

    Raises InvalidArgument, PermissionDenied, NotFound.
    """
    with call.api.use(PREVIEW_IMPORT, call.ids):
        address = parse_bucket(bucket)
        return call.context.seams.bucket(BucketUse(address, "read", prefix, str(call.dataset)))
