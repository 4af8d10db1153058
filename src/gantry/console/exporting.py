"""*Export DICOM store*: destination, file type, and which instances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from gantry.console import picking, table_export
from gantry.console.filter_files import list_buckets, name_studies, read_destination, write_filter
from gantry.console.finding import name_parameters
from gantry.console.operations import go_to_operation
from gantry.console.page_call import Crumb, PageCall, address_of, crumbs_of
from gantry.console.refusals import Refused
from gantry.console.searches import describe_query, list_saved
from gantry.dicom.forms import AS_STORED, DICOM, JPEG, OCTETS, PNG, SYNTAXES, parse_form
from gantry.errors import StatusError
from gantry.languages import N_, _
from gantry.queries import StudyTotals

_SYNTAXES = (
    ("*", N_("As stored")),
    ("1.2.840.10008.1.2", N_("Implicit VR little endian")),
    ("1.2.840.10008.1.2.1", N_("Explicit VR little endian")),
    ("1.2.840.10008.1.2.1.99", N_("Deflated explicit VR little endian")),
    ("1.2.840.10008.1.2.5", N_("RLE lossless")),
    ("1.2.840.10008.1.2.8.1", N_("Deflated image frame")),
    ("1.2.840.10008.1.2.4.50", N_("JPEG baseline (lossy)")),
    ("1.2.840.10008.1.2.4.51", N_("JPEG extended (lossy)")),
    ("1.2.840.10008.1.2.4.57", N_("JPEG lossless")),
    ("1.2.840.10008.1.2.4.70", N_("JPEG lossless, first order")),
    ("1.2.840.10008.1.2.4.80", N_("JPEG-LS lossless")),
    ("1.2.840.10008.1.2.4.81", N_("JPEG-LS near-lossless (lossy)")),
    ("1.2.840.10008.1.2.4.90", N_("JPEG 2000 lossless")),
    ("1.2.840.10008.1.2.4.91", N_("JPEG 2000")),
    ("1.2.840.10008.1.2.4.110", N_("JPEG XL lossless")),
    ("1.2.840.10008.1.2.4.111", N_("JPEG XL from JPEG")),
    ("1.2.840.10008.1.2.4.112", N_("JPEG XL")),
    ("1.2.840.10008.1.2.4.201", N_("HTJ2K lossless")),
    ("1.2.840.10008.1.2.4.202", N_("HTJ2K lossless, RPCL")),
    ("1.2.840.10008.1.2.4.203", N_("HTJ2K")),
)
_NO_FILTER = N_("the filter names no study: nothing would be exported")
PERMISSION = "dicomStores.export"
FILE_TYPES = (
    (DICOM, N_("DICOM file (.dcm)")),
    (OCTETS, N_("octet-stream")),
    (JPEG, N_("Image (.jpg)")),
    (PNG, N_("Image (.png)")),
)


def show_form(call: PageCall, error: StatusError | None = None) -> Response:
    call.api.get(str(call.store))
    picked = [uid for uid in call.request.query_params.getlist("study") if uid][: picking.MAX_PICKED]
    search = picking.read_conditions(call.query)
    if not picked and not search and "picked" in call.query and error is None:
        error = Refused(_(picking.NOTHING))
    chosen = "studies" if picked or error else "search" if search else "all"
    values = {
        "bucket": call.query.get("bucket", ""),
        "prefix": "",
        "mime_type": DICOM,
        "syntax": "",
        "filter": chosen,
        "filter_uri": "",
        "studies": "\n".join(picked),
        "lines": "",
    } | (search | table_export.read_given(call) | call.form)
    return call.show(
        "export.html",
        200 if error is None else error.http,
        crumbs=(*crumbs_of(call.store), Crumb(_("Export"), "")),
        name=call.store,
        here=f"{address_of(call.store)}/export",
        buckets=list_buckets(call, "write"),
        file_types=[(kind, _(words)) for kind, words in FILE_TYPES],
        syntaxes=[(uid, _(name), _kinds(uid)) for uid, name in _SYNTAXES],
        parameters=name_parameters(),
        dispositions=[(value, _(words)) for value, words in table_export.DISPOSITIONS],
        saved=[(name, text, describe_query(text)) for name, text in list_saved(call).items()],
        given=values,
        error=error,
        selection=describe_selection(call, values),
    )


@dataclass(frozen=True, slots=True)
class Selection:
    """How much an export is for. ``totals`` is None where that is not counted: then ``lines`` of a filter are named, or
    a file."""

    totals: StudyTotals | None = None
    lines: int = 0
    problem: StatusError | None = None

    @property
    def is_empty(self) -> bool:
        return self.problem is not None or (self.totals is not None and not self.totals.instances)


def show_selection(call: PageCall) -> Response:
    """The part of the form that says how much is chosen."""
    given = {"filter": "", "studies": "", "lines": "", "filter_uri": ""} | call.query
    return call.show("export_selection.html", selection=describe_selection(call, given))


def describe_selection(call: PageCall, given: dict[str, str]) -> Selection:
    try:
        return _describe(call, given)
    except StatusError as error:
        if error.http in (401, 403, 404):
            raise
        return Selection(problem=error)


def _describe(call: PageCall, given: dict[str, str]) -> Selection:
    kind = given["filter"]
    if kind == "all":
        metrics = call.api.get(f"{call.store}:getDICOMStoreMetrics")
        numbers = (int(metrics.get(f"{level}Count", 0)) for level in ("study", "series", "instance"))
        return Selection(StudyTotals(*numbers))
    if kind == "file":
        return Selection() if given["filter_uri"].strip() else Selection(problem=Refused(_(_NO_FILTER)))
    if kind == "lines":
        lines = len(given["lines"].split())
        return Selection(lines=lines) if lines else Selection(problem=Refused(_(_NO_FILTER)))
    return Selection(picking.count(call, _read_chosen(given)))


def _read_chosen(given: dict[str, str]) -> picking.Picked:
    """The studies that are ticked or searched for. Raises InvalidArgument where there is no choice."""
    kind = given.get("filter", "")
    if kind == "studies":
        if uids := tuple(dict.fromkeys(given.get("studies", "").split())):
            return picking.Picked(uids)
        raise Refused(_(picking.NOTHING))
    if kind != "search":
        raise Refused(_("choose which instances are exported"))
    if search := picking.read_conditions(given):
        return picking.Picked(search=search)
    raise Refused(_("the search has no condition; choose “All instances” to export everything"))


def _kinds(syntax: str) -> list[str]:
    """The file types that can have a transfer syntax."""
    return [kind for kind, allowed in SYNTAXES.items() if (AS_STORED if syntax == "*" else syntax) in allowed]


def start(call: PageCall) -> Response:
    given = call.form
    try:
        if given.get("destination") == table_export.BIGQUERY:
            return go_to_operation(call, table_export.start(call))
        destination = read_destination(given)
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
    """The filter file; None for all instances. What was picked or typed is written next to the export as a record.

    Raises InvalidArgument where nothing was chosen: only who chooses all instances exports them.
    """
    given = call.form
    kind = given.get("filter", "")
    if kind == "all":
        return None
    if kind == "file":
        return given.get("filter_uri", "").strip()
    if kind == "lines":
        lines = [line for line in given.get("lines", "").splitlines() if line.strip()]
    else:
        lines = name_studies(picking.list_uids(call, _read_chosen(given)))
    if not lines:
        raise Refused(_(_NO_FILTER))
    return write_filter(call, PERMISSION, destination, lines)
