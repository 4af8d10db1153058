"""*Audit*: who did what, when, and with which outcome, as the audit log of this server says it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.types import ASGIApp

from gantry.api.audit_reading import AuditLine, Wanted, read_audit
from gantry.api.methods import SHOW_AUDIT
from gantry.console.audit_words import ACTIONS, describe_method, list_actions
from gantry.console.operation_errors import as_text
from gantry.console.page_call import Crumb, PageCall
from gantry.console.refusals import NotHere
from gantry.console.rendering import send_attachment
from gantry.console.typed_dates import is_month_first, parse_days
from gantry.errors import Code, InvalidArgument
from gantry.iam.roles import AUDIT_LOGS
from gantry.languages import N_, _
from gantry.names import DatasetName
from gantry.whole_numbers import read_number

_PAGE, _CHUNK = 50, 1000
_PROJECTS = 1000  # whose permission is checked
_LAST = "\U0010ffff"  # behind every name
_FIELDS = ("who", "action", "store", "days", "outcome")
_HEAD = b"time (UTC),who,action,method,resource,address,outcome\r\n"
_ABOVE = re.compile(r"projects/[^/]+/locations/[^/]+/datasets/")
_NO_TIME = datetime.min
_REFUSED = (Code.PERMISSION_DENIED, Code.UNAUTHENTICATED)
OUTCOMES = {
    "ok": N_("Done"),
    "refused": N_("Not allowed"),
    "failed": N_("Failed"),
    "open": N_("No outcome"),
}


def show_audit(call: PageCall) -> Response:
    """Raises PermissionDenied."""
    wanted, given, error = _begin(call)
    before = read_number(call.query.get("before", ""), 1 << 62)
    page = read_audit(call.context.facts.audit_log, wanted, _PAGE, before) if wanted is not None else None
    return call.show(
        "audit.html",
        crumbs=(Crumb(_("Audit"), ""),),
        is_on=bool(call.context.facts.audit_log),
        is_whole=call.api.caller.administers,
        rows=fold(page.lines) if page else [],
        before=page.before if page else 0,
        is_first=before is None,
        given=given,
        query=urlencode(given),
        error=error,
        actions=list(list_actions()),
        outcomes={key: _(words) for key, words in OUTCOMES.items()},
    )


def download_csv(call: PageCall) -> ASGIApp:
    """All lines that the filters find, the latest first. Raises PermissionDenied, NotFound, InvalidArgument."""
    wanted, _given, error = _begin(call)
    if error is not None:
        raise error
    if wanted is None:
        raise NotHere(_("this server writes no audit log; the setting audit_log names its file"))
    path = call.context.facts.audit_log

    def pieces() -> Iterator[bytes]:
        yield _HEAD
        before: int | None = None
        while before != 0:
            page = read_audit(path, wanted, _CHUNK, before)
            before = page.before
            held = io.StringIO()
            csv.writer(held).writerows(map(_cells, page.lines))
            yield held.getvalue().encode("utf-8", "backslashreplace")

    return send_attachment(pieces(), "text/csv; charset=utf-8", f"audit-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.csv")


def _cells(line: AuditLine) -> tuple[str, ...]:
    action = ACTIONS.get(line.method, line.method.rpartition(".")[2])
    outcome = "" if line.is_open else Code(line.code).name if line.code in list(Code) else str(line.code)
    time = line.time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return time, as_text(line.who), action, line.method, as_text(line.resource), line.address, outcome


class Row(NamedTuple):
    """Lines of the page that say the same, one after the other; ``line`` is the latest of as many ``times``."""

    line: AuditLine
    action: str
    resource: str
    outcome: str
    times: int


def fold(lines: Sequence[AuditLine]) -> list[Row]:
    """A program that asks again and again is one row."""
    rows = []
    for _same, group in groupby(lines, lambda each: each._replace(offset=0, time=_NO_TIME)):
        first, *more = group
        action, resource = describe_method(first.method), shorten(first.resource)
        rows.append(Row(first, action, resource, outcome_of(first), 1 + len(more)))
    return rows


def shorten(resource: str) -> str:
    """Without what all resources of a place have in common: ``hospital/radiology/studies/1.2``."""
    short = _ABOVE.sub("", resource)
    return short.replace("/dicomStores/", "/", 1).replace("/dicomWeb/", "/", 1)


def outcome_of(line: AuditLine) -> str:
    """One of ``OUTCOMES``."""
    if line.is_open:
        return "open"
    return "ok" if line.code == Code.OK else "refused" if line.code in _REFUSED else "failed"


def _begin(call: PageCall) -> tuple[Wanted | None, dict[str, str], InvalidArgument | None]:
    """What is wanted, None without an audit log or with an error; what was typed. Raises PermissionDenied."""
    with call.api.use(SHOW_AUDIT, ()):
        may_see = _require_some(call)
    given = {name: call.query[name].strip() for name in _FIELDS if call.query.get(name, "").strip()}
    if not call.context.facts.audit_log:
        return None, given, None
    try:
        return _read_wanted(call, given, may_see), given, None
    except InvalidArgument as error:
        return None, given, error


def _require_some(call: PageCall) -> Callable[[str], bool]:
    """Whether lines of a project may be seen; those of none are for administrators. Raises PermissionDenied for a
    caller who may see those of no project."""
    caller = call.api.caller
    if caller.administers:
        return lambda project: True
    projects = _list_projects(call)
    allowed = {project for project in projects if caller.has(AUDIT_LOGS, project)}
    if not allowed:
        caller.require(AUDIT_LOGS, projects[0] if projects else "-")
    return allowed.__contains__


def _list_projects(call: PageCall) -> list[str]:
    """The projects that have datasets: of each one name is read, however many datasets it has."""
    found: list[str] = []
    after: DatasetName | None = None
    while len(found) < _PROJECTS and (names := call.context.seams.index.resources.list_dataset_names(1, after)):
        found.append(names[0].project)
        after = DatasetName(found[-1], _LAST, _LAST)
    return found


def _read_wanted(call: PageCall, given: dict[str, str], may_see: Callable[[str], bool]) -> Wanted:
    """Raises InvalidArgument."""
    who, store, outcome = given.get("who", "").lower(), given.get("store", ""), given.get("outcome", "")
    methods = list_actions().get(given.get("action", ""), ())
    words = [word for word in (given.get("who", ""), store) if word]
    since, until = _read_days(call, given.get("days", ""))

    def matches(line: AuditLine) -> bool:
        return (
            may_see(line.project)
            and (not who or who in line.who.lower())
            and (not store or store in line.resource.split("/"))
            and (not methods or line.method in methods)
            and (not outcome or outcome_of(line) == outcome)
        )

    return Wanted(words, since, until, matches)


def _read_days(call: PageCall, text: str) -> tuple[str, str]:
    """The first day, and the one after the last, in UTC; "" for an open end. Raises InvalidArgument."""
    if not text:
        return "", ""
    month_first = is_month_first(call.request.headers.get("accept-language", ""))
    days = parse_days(text, datetime.now(UTC).date(), month_first)
    since = days.first.isoformat() if days.first else ""
    return since, (days.last + timedelta(1)).isoformat() if days.last else ""
