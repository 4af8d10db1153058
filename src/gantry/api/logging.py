"""Error logs in the forms that log tools read: ``entries:list`` of Cloud Logging, and JSON lines."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Sequence
from typing import TextIO

from gantry.api.call import Call
from gantry.api.log_filters import parse_log_filter
from gantry.api.messages import Json, Message, read
from gantry.api.method import ApiMethod
from gantry.api.paging import read_page
from gantry.api.wire import log_entry_json
from gantry.errors import NotFound, invalid_field
from gantry.log_entries import LogEntry, LogFilter, LogPosition
from gantry.resources import Operation

VERSION = "v2"
_MAX_NAMES = 100  # as in Cloud Logging
_PROJECT = re.compile(r"projects/[^/]+")
_ORDERS = {"": False, "timestamp": False, "timestamp asc": False, "timestamp desc": True}

logger = logging.getLogger(__name__)


class ListLogEntriesRequest(Message):
    resource_names: list[str] | None = None
    filter: str | None = None
    order_by: str | None = None
    page_size: int | None = None
    page_token: str | None = None


def list_entries(call: Call) -> Json:
    """Entries of all operations of the named projects, in the order of time.

    An answer may have fewer entries than requested, even none, and a token to go on: one call reads a bounded part of
    the log. Raises InvalidArgument.
    """
    request = read(ListLogEntriesRequest, call.body)
    names = request.resource_names or []
    wrong = [name for name in names if not _PROJECT.fullmatch(name)]
    if wrong or not names:
        raise invalid_field("resourceNames", f"{', '.join(wrong) or 'nothing'}: must be projects/PROJECT, once or more")
    if len(names) > _MAX_NAMES:
        raise invalid_field("resourceNames", f"has more than {_MAX_NAMES} names")
    for name in names:
        call.caller.require(LIST_ENTRIES.permission, name.partition("/")[2])
    order = " ".join((request.order_by or "").split())
    if order not in _ORDERS:
        raise invalid_field("orderBy", f"{order!r}: use 'timestamp asc' or 'timestamp desc'")
    text = request.filter or ""
    projects = LogFilter("any", parts=tuple(LogFilter("=", "project", name.partition("/")[2]) for name in names))
    wanted = LogFilter("all", parts=(parse_log_filter(text), projects))
    query = {"pageSize": str(request.page_size or ""), "pageToken": request.page_token or ""}
    page = read_page(query, json.dumps(["entries", sorted(names), text, _ORDERS[order]]))
    after = LogPosition(*page.after_numbers(3)) if page.after else None
    entries, following = call.context.seams.index.logs.find_failures(wanted, page.size, after, _ORDERS[order])
    answer: Json = {"entries": [log_entry_json(*pair) for pair in entries]} if entries else {}
    if following is not None:
        answer["nextPageToken"] = page.token("/".join(map(str, following)))
    return answer


LIST_ENTRIES = ApiMethod("entries.list", "POST", "entries:list", "logging.logEntries.list", list_entries, (VERSION,))


def route(verb: str, _version: str, segments: list[str]) -> tuple[ApiMethod, tuple[str, ...]]:
    """The one method of Cloud Logging that is implemented. Raises NotFound."""
    if (verb, "/".join(segments)) != (LIST_ENTRIES.verb, LIST_ENTRIES.path):
        raise NotFound(f"no such method: {verb} /{VERSION}/{'/'.join(segments)}; there is POST /{VERSION}/entries:list")
    return LIST_ENTRIES, ()


class JsonLines:
    """Writes entries to a stream, each as one line. If the stream fails, this is logged once and no more is written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream
        self._lock = threading.Lock()

    def __call__(self, operation: Operation, entries: Sequence[LogEntry]) -> None:
        lines = "".join(json.dumps(log_entry_json(operation, entry)) + "\n" for entry in entries)
        with self._lock:
            if self._stream is None:
                return
            try:
                self._stream.write(lines)
                self._stream.flush()
            except (OSError, ValueError) as error:
                logger.warning("the error log cannot be written to stdout any more: %s", error)
                self._stream = None
