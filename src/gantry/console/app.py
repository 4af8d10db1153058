"""Addresses of the console: which function shows a page, and which takes its form."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from gantry.api.call import Context
from gantry.api.forms import read_form
from gantry.api.inside import Inside
from gantry.api.paths import page_path
from gantry.api.sessions import SIGN_IN, sign_in_first
from gantry.console import (
    access,
    archives,
    audit,
    buckets,
    class_by_file,
    datasets,
    disk,
    everything,
    exporting,
    first_page,
    importing,
    operation_errors,
    operation_page,
    operations,
    picked_studies,
    running_again,
    searches,
    settings,
    storage_class,
    stores,
    studies,
    study_list,
    uploading,
)
from gantry.console.page_call import BASE, PageCall
from gantry.console.query import downloads as query_downloads
from gantry.console.query import filters as query_filters
from gantry.console.query import page as query_page
from gantry.console.query import tables as query_tables
from gantry.console.refusals import NotHere
from gantry.console.rendering import render_page
from gantry.console.speaking import ADDRESS, choose_language, keep_language
from gantry.errors import StatusError, Unauthenticated
from gantry.languages import ENGLISH, _, use_language

PageHandler = Callable[[PageCall], ASGIApp]
_DATASET = "projects/*/locations/*/datasets/*"
_STORE = f"{_DATASET}/dicomStores/*"
_OPERATION = f"{_DATASET}/operations/*"
_STUDY = f"{_STORE}/studies/*"
_QUERY = f"{_STORE}/query"

PAGES: dict[str, PageHandler] = {
    "": datasets.list_datasets,
    "begin": datasets.list_datasets,
    "create": datasets.show_create_form,
    "find": everything.find,
    "running": operations.show_running,
    "now": first_page.show_now,
    "access": access.show_all,
    "projects/*/access": access.show_project,
    "projects/*/access/change": access.ask_project,
    "buckets": buckets.show_buckets,
    "settings": settings.show_settings,
    "disk": disk.show_disk,
    "audit": audit.show_audit,
    "audit.csv": audit.download_csv,
    _DATASET: datasets.list_stores,
    f"{_DATASET}/operations": operations.list_operations,
    f"{_DATASET}/create": stores.show_create_form,
    f"{_DATASET}/edit": datasets.show_edit_form,
    f"{_DATASET}/delete": datasets.show_delete_form,
    f"{_DATASET}/access": access.show_dataset,
    f"{_DATASET}/access/change": access.ask_dataset,
    _OPERATION: operation_page.show_operation,
    f"{_OPERATION}/progress": operation_page.show_progress,
    f"{_OPERATION}/errors": operation_errors.list_errors,
    f"{_OPERATION}/errors.csv": operation_errors.download_csv,
    f"{_OPERATION}/errors.ndjson": operation_errors.download_ndjson,
    _STORE: stores.show_store,
    f"{_STORE}/edit": stores.show_edit_form,
    f"{_STORE}/delete": stores.show_delete_form,
    f"{_STORE}/import": importing.show_form,
    f"{_STORE}/import/folders": importing.list_folders,
    f"{_STORE}/import/preview": importing.show_preview,
    f"{_STORE}/export": exporting.show_form,
    f"{_STORE}/export/selection": exporting.show_selection,
    f"{_STORE}/buckets": buckets.show_for_store,
    f"{_STORE}/access": access.show_store,
    f"{_STORE}/access/change": access.ask_store,
    f"{_STORE}/upload": uploading.show_form,
    f"{_STORE}/storage-class": storage_class.show_form,
    f"{_STORE}/storage-class/file": class_by_file.show_form,
    _QUERY: query_page.show_editor,
    f"{_QUERY}/columns": query_tables.show_columns,
    f"{_QUERY}/*": query_page.show_job,
    f"{_QUERY}/*/progress": query_page.show_progress,
    f"{_QUERY}/*/rows.csv": query_downloads.download_csv,
    f"{_QUERY}/*/rows.ndjson": query_downloads.download_ndjson,
    f"{_QUERY}/*/rows.parquet": query_downloads.download_parquet,
    f"{_STORE}/delete-studies": picked_studies.show_delete_form,
    f"{_STORE}/download.zip": picked_studies.download,
    f"{_STORE}/studies": study_list.list_studies,
    _STUDY: studies.show_study,
    f"{_STUDY}/delete": studies.show_delete_form,
    f"{_STUDY}/storage-class": storage_class.show_form_below,
    f"{_STUDY}/download.zip": archives.download,
    f"{_STUDY}/series/*": studies.show_series,
    f"{_STUDY}/series/*/download.zip": archives.download,
    f"{_STUDY}/series/*/delete": studies.show_delete_form,
    f"{_STUDY}/series/*/storage-class": storage_class.show_form_below,
    f"{_STUDY}/series/*/instances/*": studies.show_instance,
    f"{_STUDY}/series/*/instances/*/delete": studies.show_delete_form,
    f"{_STUDY}/series/*/instances/*/storage-class": storage_class.show_form_below,
}
FORMS: dict[str, PageHandler] = {
    "buckets": buckets.check_buckets,
    "projects/*/access/change": access.save_project,
    f"{_DATASET}/access/change": access.save_dataset,
    f"{_STORE}/access/change": access.save_store,
    f"{_STORE}/buckets": buckets.check_for_store,
    "create": datasets.create,
    "begin": datasets.begin,
    f"{_DATASET}/create": stores.create,
    f"{_DATASET}/edit": datasets.edit,
    f"{_DATASET}/delete": datasets.delete,
    f"{_OPERATION}/cancel": operations.cancel,
    f"{_OPERATION}/again": running_again.run_again,
    f"{_OPERATION}/import-failed": running_again.import_failed,
    f"{_STORE}/edit": stores.edit,
    f"{_STORE}/delete": stores.delete,
    f"{_STORE}/import": importing.start,
    f"{_STORE}/export": exporting.start,
    f"{_STORE}/searches/save": searches.save,
    f"{_STORE}/searches/forget": searches.forget,
    f"{_STORE}/storage-class": storage_class.change,
    f"{_STORE}/storage-class/file": class_by_file.start,
    _QUERY: query_page.run,
    f"{_QUERY}/*/cancel": query_page.cancel,
    f"{_QUERY}/*/filter": query_filters.write,
    f"{_STORE}/delete-studies": picked_studies.delete,
    f"{_STUDY}/storage-class": storage_class.change_below,
    f"{_STUDY}/series/*/storage-class": storage_class.change_below,
    f"{_STUDY}/series/*/instances/*/storage-class": storage_class.change_below,
    f"{_STUDY}/delete": studies.delete,
    f"{_STUDY}/series/*/delete": studies.delete,
    f"{_STUDY}/series/*/instances/*/delete": studies.delete,
}


def home(context: Context, request: Request) -> Response:
    """``/`` leads to the console."""
    return RedirectResponse(f"{BASE}/", 303)


def show(context: Context, request: Request) -> ASGIApp:
    """Show a page of the console."""
    return _speak(context, request, PAGES, {})


def act(context: Context, request: Request, body: bytes) -> ASGIApp:
    """Take a form of the console. A session does not authenticate a form that another site has sent."""
    form = read_form(body)
    if page_path(request.scope) == [ADDRESS]:
        return keep_language(context, request, form)
    return _speak(context, request, FORMS, form)


def _speak(context: Context, request: Request, table: dict[str, PageHandler], form: dict[str, str]) -> ASGIApp:
    """In the reader's language; programs get errors in English, as from the API."""
    with use_language(ENGLISH if _is_for_a_program(request) else choose_language(request)):
        return _answer(context, request, table, form)


def _answer(context: Context, request: Request, table: dict[str, PageHandler], form: dict[str, str]) -> ASGIApp:
    try:
        api = Inside(context, request)
    except Unauthenticated:
        return _send_to_sign_in(request)
    call = PageCall(context, request, api, (), form)
    try:
        function, ids = _find(table, request)
        return function(PageCall(context, request, api, ids, form))
    except StatusError as error:
        if call.is_part:
            return render_page("part_error.html", error.http, error=error)
        if _is_for_a_program(request):
            raise
        return call.show("error.html", error.http, error=error)


def _is_for_a_program(request: Request) -> bool:
    """Whether a program requests a file: it gets errors as JSON, as from the API."""
    is_file = "".join(page_path(request.scope)[-1:]).endswith((".zip", ".csv", ".ndjson", ".parquet"))
    return is_file and "text/html" not in request.headers.get("accept", "")


def _send_to_sign_in(request: Request) -> Response:
    """Send the browser to the sign-in page: from a part of a page by a header, so that the whole page goes there."""
    if "hx-request" not in request.headers:
        return sign_in_first(request)
    return Response(headers={"hx-redirect": SIGN_IN})


def _find(table: dict[str, PageHandler], request: Request) -> tuple[PageHandler, tuple[str, ...]]:
    segments = page_path(request.scope) or [""]
    for path, function in table.items():
        parts = path.split("/")
        if len(parts) == len(segments):
            pairs = list(zip(parts, segments, strict=True))
            if all(part in ("*", segment) for part, segment in pairs):
                return function, tuple(segment for part, segment in pairs if part == "*")
    raise NotHere(_("there is no such page; start at the list of datasets"))
