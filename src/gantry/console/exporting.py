"""*Export DICOM store*: destination, file type, and which instances."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from gantry.calls_that_hang import giving_up
from gantry.console import table_export
from gantry.console.operations import go_to_operation
from gantry.console.page_call import Crumb, PageCall, address_of, crumbs_of
from gantry.console.searches import PARAMETERS, describe_query, list_saved
from gantry.console.studies import find_studies
from gantry.dicom.forms import AS_STORED, DICOM, JPEG, OCTETS, PNG, SYNTAXES, parse_form
from gantry.errors import InvalidArgument, StatusError
from gantry.seams import BucketUse
from gantry.storage.uris import address_of_bucket, name_of_bucket, parse_prefix

_SYNTAXES = (
    ("*", "As stored"),
    ("1.2.840.10008.1.2", "Implicit VR little endian"),
    ("1.2.840.10008.1.2.1", "Explicit VR little endian"),
    ("1.2.840.10008.1.2.1.99", "Deflated explicit VR little endian"),
    ("1.2.840.10008.1.2.5", "RLE lossless"),
    ("1.2.840.10008.1.2.8.1", "Deflated image frame"),
    ("1.2.840.10008.1.2.4.50", "JPEG baseline (lossy)"),
    ("1.2.840.10008.1.2.4.51", "JPEG extended (lossy)"),
    ("1.2.840.10008.1.2.4.57", "JPEG lossless"),
    ("1.2.840.10008.1.2.4.70", "JPEG lossless, first order"),
    ("1.2.840.10008.1.2.4.80", "JPEG-LS lossless"),
    ("1.2.840.10008.1.2.4.81", "JPEG-LS near-lossless (lossy)"),
    ("1.2.840.10008.1.2.4.90", "JPEG 2000 lossless"),
    ("1.2.840.10008.1.2.4.91", "JPEG 2000"),
    ("1.2.840.10008.1.2.4.110", "JPEG XL lossless"),
    ("1.2.840.10008.1.2.4.111", "JPEG XL from JPEG"),
    ("1.2.840.10008.1.2.4.112", "JPEG XL"),
    ("1.2.840.10008.1.2.4.201", "HTJ2K lossless"),
    ("1.2.840.10008.1.2.4.202", "HTJ2K lossless, RPCL"),
    ("1.2.840.10008.1.2.4.203", "HTJ2K"),
)
PERMISSION = "dicomStores.export"
FILE_TYPES = ((DICOM, "DICOM file (.dcm)"), (OCTETS, "octet-stream"), (JPEG, "Image (.jpg)"), (PNG, "Image (.png)"))
_MAX_STUDIES, _PAGE = 10_000, 1000
_MAX_FILTER = 8 << 20  # bytes of a typed filter, which a form holds in memory
_WRITE_SECONDS = 20.0  # for a bucket to take them


def show_form(call: PageCall, error: StatusError | None = None) -> Response:
    call.api.get(str(call.store))
    picked = [uid for uid in call.request.query_params.getlist("study") if uid][:_MAX_STUDIES]
    search = {name: call.query[name] for name in PARAMETERS if call.query.get(name)}
    values = (
        {
            "bucket": "",
            "prefix": "",
            "mime_type": DICOM,
            "syntax": "",
            "filter": "studies" if picked else "search" if search else "all",
            "filter_uri": "",
            "studies": "\n".join(picked),
            "lines": "",
        }
        | search
        | table_export.read_given(call)
        | call.form
    )
    return call.show(
        "export.html",
        200 if error is None else error.http,
        crumbs=(*crumbs_of(call.store), Crumb("Export", "")),
        name=call.store,
        here=f"{address_of(call.store)}/export",
        buckets=[name_of_bucket(each) for each in call.context.seams.buckets(str(call.dataset), "write")],
        file_types=FILE_TYPES,
        syntaxes=[(uid, name, _kinds(uid)) for uid, name in _SYNTAXES],
        parameters=PARAMETERS,
        dispositions=table_export.DISPOSITIONS,
        saved=[(name, text, describe_query(text)) for name, text in list_saved(call).items()],
        given=values,
        error=error,
    )


def _kinds(syntax: str) -> list[str]:
    """The file types that can have a transfer syntax."""
    return [kind for kind, allowed in SYNTAXES.items() if (AS_STORED if syntax == "*" else syntax) in allowed]


def start(call: PageCall) -> Response:
    given = call.form
    try:
        if given.get("destination") == table_export.BIGQUERY:
            return go_to_operation(call, table_export.start(call))
        if not given.get("bucket"):
            raise InvalidArgument("choose a bucket in the list Location")
        bucket = address_of_bucket(given["bucket"])
        destination = str(parse_prefix(f"{bucket}/{given.get('prefix', '').lstrip('/')}"))
        mime_type = _mime_type(given)
        parse_form(mime_type)  # before anything is written
        body: dict[str, Any] = {"gcsDestination": {"uriPrefix": destination, "mimeType": mime_type}}
        if (filter_uri := _filter_uri(call, destination)) is not None:
            body["filterConfig"] = {"resourcePathsGcsUri": filter_uri}
        answer = call.api.send("POST", f"{call.store}:export", body)
    except StatusError as error:
        return show_form(call, error)
    return go_to_operation(call, answer)


def _mime_type(given: dict[str, str]) -> str:
    kind, syntax = given.get("mime_type", DICOM), given.get("syntax", "")
    return f"{kind}; transfer-syntax={syntax}" if syntax else kind


def _filter_uri(call: PageCall, destination: str) -> str | None:
    """The filter file; None for all instances. What was picked or typed is written next to the export as a record."""
    given = call.form
    kind = given.get("filter", "all")
    if kind == "all":
        return None
    if kind == "file":
        return given.get("filter_uri", "").strip()
    if kind == "lines":
        lines = given.get("lines", "").splitlines()
    elif kind == "studies":
        lines = [f"/studies/{uid.strip()}" for uid in given.get("studies", "").splitlines() if uid.strip()]
    else:
        lines = _list_found_studies(call)
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise InvalidArgument("the filter names no study: nothing would be exported")
    data = ("\n".join(lines) + "\n").encode()
    if len(data) > _MAX_FILTER:
        raise InvalidArgument(f"a filter of more than {_MAX_FILTER >> 20} MB must be a file in a bucket: give its path")
    return _write_filter(call, destination, data)


def _list_found_studies(call: PageCall) -> list[str]:
    """The studies that a search finds. Raises InvalidArgument for more than ``_MAX_STUDIES``."""
    query = {name: call.form[name] for name in PARAMETERS if call.form.get(name)}
    lines: list[str] = []
    while page := find_studies(call, query, _PAGE, len(lines)):
        lines += [f"/studies/{study.uid}" for study in page]
        if len(lines) > _MAX_STUDIES:
            raise InvalidArgument(f"the search finds more than {_MAX_STUDIES:,} studies; narrow it, or export all")
    return lines


def _write_filter(call: PageCall, destination: str, data: bytes) -> str:
    call.api.caller.require(f"healthcare.{PERMISSION}", call.store)
    place = parse_prefix(destination)
    name = f"filter-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}.txt"
    use = BucketUse(place.bucket, "write", place.key + name, str(call.dataset), "console")
    with giving_up(_WRITE_SECONDS, f"bucket {place.bucket}"):
        bucket = call.context.seams.bucket(use)
        bucket.put(place.key + name, [data])
        bucket.flush()
    return f"{place.bucket}/{place.key}{name}"
