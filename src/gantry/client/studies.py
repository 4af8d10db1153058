"""``studies``: search (PS3.18 §10.6), show and delete studies of a DICOM store."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from gantry.client.api import Api, Json
from gantry.client.connection import Connection
from gantry.client.resources import delete_named
from gantry.client.terminal import fields, note, say_json, table
from gantry.client.transfer import read_path
from gantry.errors import InvalidArgument, Unimplemented
from gantry.languages import N_, _
from gantry.sizes import format_size

_PAGE = 1000  # results of one request; a study may have 5,000 at most (the API's limit)
_FLAGS = {
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "study_date": "StudyDate",
    "accession_number": "AccessionNumber",
    "modality": "ModalitiesInStudy",
    "description": "StudyDescription",
}
_STUDY, _SERIES = "0020000D", "0020000E"
_COLUMNS = {
    N_("DATE"): "00080020",
    N_("PATIENT ID"): "00100020",
    N_("PATIENT"): "00100010",
    N_("MODALITIES"): "00080061",
    N_("DESCRIPTION"): "00081030",
    N_("INSTANCES"): "00201208",
    N_("STUDY"): _STUDY,
}
_SHOWN = {
    N_("study"): _STUDY,
    N_("patient"): "00100010",
    N_("patient ID"): "00100020",
    N_("date"): "00080020",
    N_("accession number"): "00080050",
    N_("description"): "00081030",
    N_("instances"): "00201208",
}
_SERIES_COLUMNS = {
    N_("NUMBER"): "00200011",
    N_("MODALITY"): "00080060",
    N_("DESCRIPTION"): "0008103E",
    N_("INSTANCES"): "00201209",
    N_("SERIES"): _SERIES,
}
_NUMBERS = ("INSTANCES", "NUMBER")
_STUDY_FIELDS = {"includefield": "StudyDescription,ModalitiesInStudy,NumberOfStudyRelatedInstances"}
_SERIES_FIELDS = {"includefield": "SeriesNumber,SeriesDescription,NumberOfSeriesRelatedInstances"}
"""What is shown and is in no answer of Google, or of a server with ``strict_search``, unless it is asked for."""


def list_(args: Namespace) -> int:
    """The studies that match all conditions. In JSON each is a line of its own, as there may be millions."""
    for flag in ("limit", "offset"):
        if getattr(args, flag) < 0:
            raise InvalidArgument(_("{flag}: must be zero or more").format(flag=f"--{flag}"))
    connection = Connection.of(args)
    path = f"{connection.store(args.store)}/dicomWeb/studies"
    found = _find(connection.api, path, _read_query(args), args.offset, args.limit and args.limit + 1)
    is_empty = not _print(islice(found, args.limit or None), args.json)
    if is_empty and not args.json:
        note(_("no study matches") if not args.offset else _("no more studies match"))
    elif args.limit and next(found, None) is not None:
        note(_("there are more: --offset {offset}, or --limit 0 for all").format(offset=args.offset + args.limit))
    return 0


def _read_query(args: Namespace) -> dict[str, str]:
    """Raises InvalidArgument."""
    query = {keyword: value for flag, keyword in _FLAGS.items() if (value := getattr(args, flag))}
    if "PatientName" in query:
        query["fuzzymatching"] = "true"  # any word of a name, from its beginning
    for text in args.where:
        attribute, separator, value = text.partition("=")
        if not separator or (not attribute[:1].isupper() and not attribute.isalnum()):
            problem = _("--where: {text} is not ATTRIBUTE=VALUE, as ReferringPhysicianName=Gregory")
            raise InvalidArgument(problem.format(text=repr(text)))
        if attribute in query:
            problem = _("--where: there is a condition on {attribute} already")
            raise InvalidArgument(problem.format(attribute=attribute))
        query[attribute] = value
    return query | _STUDY_FIELDS


def _find(api: Api, path: str, query: dict[str, str], offset: int = 0, limit: int = 0) -> Iterator[Json]:
    """What a search finds, page after page; ``limit`` 0: all."""
    left = limit
    while True:
        size = min(_PAGE, left) if limit else _PAGE
        page = api.search(path, query | {"limit": str(size), "offset": str(offset)})
        yield from page
        offset, left = offset + len(page), left - len(page)
        if len(page) < size or (limit and not left):
            return


def _print(found: Iterator[Json], as_json: bool) -> bool:
    """Print studies page by page; whether there was any."""
    is_any = False
    while rows := list(islice(found, _PAGE)):
        is_any = True
        if as_json:
            for row in rows:
                say_json(row, indent=None)
        else:
            _print_table(rows, _COLUMNS)
    return is_any


def _print_table(rows: list[Json], columns: dict[str, str]) -> None:
    table(
        [_(name) for name in columns], [_read_row(row, columns) for row in rows], right=[_(name) for name in _NUMBERS]
    )


def show(args: Namespace) -> int:
    """A study, its series, and the bytes of its files."""
    connection = Connection.of(args)
    store = connection.store(args.store)
    path = read_path(args.study)
    web = f"{store}/dicomWeb"
    metrics: Json = {}
    with suppress(Unimplemented):
        metrics = connection.api.get(f"{web}/{path}:getStudyMetrics")  # NotFound where there is no such study
    study = next(_find(connection.api, f"{web}/studies", {"StudyInstanceUID": args.study} | _STUDY_FIELDS, limit=1), {})
    series = list(_find(connection.api, f"{web}/{path}/series", _SERIES_FIELDS))
    if args.json:
        say_json({"study": study, "series": series, "metrics": metrics})
        return 0
    size = format_size(int(metrics["blobStorageSizeBytes"])) if "blobStorageSizeBytes" in metrics else ""
    fields((*zip(map(_, _SHOWN), _read_row(study, _SHOWN), strict=True), (_("size"), size)))
    _print_table(series, _SERIES_COLUMNS)
    return 0


def delete(args: Namespace) -> int:
    """Delete a study after a confirmation."""
    connection = Connection.of(args)
    web = f"{connection.store(args.store)}/dicomWeb"
    path = read_path(args.study)
    if not connection.api.search(f"{web}/studies", {"StudyInstanceUID": args.study, "limit": "1"}):
        connection.api.get(f"{web}/{path}:getStudyMetrics")  # raises NotFound in the server's words
    texts = _("Delete the study {name} and every instance in it?"), _("deleted study {name}")
    return delete_named(args, connection, f"{web}/{path}", *texts, is_there=True)


def _read_row(item: Json, columns: dict[str, str]) -> list[str]:
    return [_read_value(item.get(tag) or {}) for tag in columns.values()]


def _read_value(element: Json) -> str:
    """The values of a DICOM JSON element as text; of names the alphabetic form, else another one (PS3.18 §F.2.2)."""
    return ", ".join(
        str(next(iter(value.values()), "")) if isinstance(value, dict) else str(value)
        for value in element.get("Value", ())
        if value is not None
    )
