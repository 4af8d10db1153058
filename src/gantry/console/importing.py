"""*Import to DICOM store*: a bucket, a folder of it or a pattern, and what that matches before anything begins."""

from __future__ import annotations

import time
from typing import Any

from starlette.responses import Response

from gantry.api.methods import PREVIEW_IMPORT
from gantry.console.operations import started
from gantry.console.views import Crumb, View, address_of, crumbs_of
from gantry.errors import InvalidArgument, StatusError
from gantry.operations.import_dicom_data import list_matching
from gantry.resources import BlobStorageClass, ObjectMeta
from gantry.seams import Bucket, BucketUse
from gantry.storage.uris import UriPattern, is_bucket_name

_SHOWN, _COUNTED, _SECONDS = 20, 10_000, 1.0
_FOLDERS, _FILES = 500, 50


def form(view: View, error: StatusError | None = None) -> Response:
    view.api.get(str(view.store))
    given = {"bucket": "", "uri": view.query.get("uri", ""), "storage_class": "STANDARD"} | view.form
    return view.show(
        "import.html",
        200 if error is None else error.http,
        crumbs=(*crumbs_of(view.store), Crumb("Import", "")),
        name=view.store,
        here=f"{address_of(view.store)}/import",
        buckets=view.context.seams.buckets(str(view.dataset), "read"),
        classes=list(BlobStorageClass),
        given=given,
        is_advanced=bool(given["uri"]) or given.get("modify") == "on",
        error=error,
    )


def start(view: View) -> Response:
    """The whole bucket or the chosen folder, unless the path was modified."""
    try:
        body = {
            "gcsSource": {"uri": _uri(view.form)},
            "blobStorageSettings": {"blobStorageClass": view.form.get("storage_class", "STANDARD")},
        }
        answer: dict[str, Any] = view.api.send("POST", f"{view.store}:import", body)
    except StatusError as error:
        return form(view, error)
    return started(view, answer)


def _uri(given: dict[str, str]) -> str:
    """Raises InvalidArgument."""
    if given.get("modify") == "on":
        return given.get("uri", "").strip()
    if not given.get("bucket"):
        raise InvalidArgument("choose a bucket in the list Location")
    return f"gs://{given['bucket']}/{given.get('prefix', '')}**"


def folders(view: View) -> Response:
    """What lies directly in a folder of a bucket."""
    bucket, prefix = view.query.get("bucket", ""), view.query.get("prefix", "")
    if not bucket:
        return view.show("import_folders.html", bucket="", folders=(), files=(), parts=(), here="", prefix="")
    source = open_source(view, bucket, prefix)
    found = source.list_folders(prefix, _FOLDERS + 1)
    files = []
    for each in source.list(prefix, depth=prefix.count("/")):
        files.append(each)
        if len(files) > _FILES:
            break
    parts = prefix.split("/")[:-1]
    return view.show(
        "import_folders.html",
        here=f"{address_of(view.store)}/import",
        bucket=bucket,
        prefix=prefix,
        parts=[(part, "/".join(parts[: at + 1]) + "/") for at, part in enumerate(parts)],
        folders=[(each if _is_text(each) else "", each[len(prefix) :]) for each in found[:_FOLDERS]],
        more_folders=len(found) > _FOLDERS,
        files=[(each, each.key[len(prefix) :]) for each in files[:_FILES]],
        more_files=len(files) > _FILES,
    )


def _is_text(name: str) -> bool:
    """Whether an address can hold a name; the API cannot import what it cannot write."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def preview(view: View) -> Response:
    """How many objects a path matches, and the first of them; counting ends after a second."""
    try:
        pattern = UriPattern.parse(_uri(dict(view.query)))
        source = open_source(view, pattern.bucket, pattern.prefix)
    except StatusError as error:
        return view.show("import_preview.html", error=error, first=(), count=0, size=0, complete=True, pattern="")
    until = time.monotonic() + _SECONDS
    first: list[ObjectMeta] = []
    count, size, complete = 0, 0, True
    # A listing that matches nothing for long must end, too.
    walk = source.list(pattern.prefix, depth=pattern.depth) if pattern.has_wildcard else list_matching(source, pattern)
    for found in walk:
        if count == _COUNTED or time.monotonic() > until:
            complete = False
            break
        if not (pattern.matches(found.key) or found.problem):
            continue
        count, size = count + 1, size + found.size
        if len(first) < _SHOWN:
            first.append(found)
    return view.show(
        "import_preview.html",
        error=None,
        first=first,
        count=count,
        size=size,
        complete=complete,
        pattern=f"gs://{pattern.bucket}/{pattern.pattern}",
    )


def open_source(view: View, bucket: str, prefix: str) -> Bucket:
    """Whoever may not import sees no names either; the audit log has a line for who has seen some.

    Raises InvalidArgument, PermissionDenied, NotFound.
    """
    with view.api.use(PREVIEW_IMPORT, view.ids):
        if not is_bucket_name(bucket):
            raise InvalidArgument(f"{bucket[:100]!r} is not a bucket name")
        return view.context.seams.bucket(BucketUse(bucket, "read", prefix, str(view.dataset)))
