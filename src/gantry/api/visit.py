"""One request to a method: who is calling and whether they may, found and recorded in the thread that answers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from gantry.api.access import ANYBODY, Caller, caller_of, resource_of
from gantry.api.call import Call, Context
from gantry.api.method import ApiMethod
from gantry.api.news import NotYet, Unfinished
from gantry.api.parameters import parse_pairs
from gantry.api.web import Begun, Later
from gantry.errors import Code, InvalidArgument, StatusError
from gantry.names import is_path_segment

_MAX_ID = 64  # characters of a UID (PS3.5 §9.1)
Made = TypeVar("Made", bound=Response | Begun | Later | NotYet | Unfinished | Call | None)


class Visit:
    """``caller`` is anybody until ``admit`` has found them; the audit log has them also where they may not."""

    def __init__(
        self, context: Context, request: Request, version: str, method: ApiMethod, ids: tuple[str, ...]
    ) -> None:
        self.context, self.request, self.method = context, request, method
        self.version, self.ids = version, ids
        self.caller: Caller = ANYBODY
        self.form = self._audited = ""
        self._has_line = False

    @property
    def is_recorded(self) -> bool:
        """Whether no line of the audit log is left to be written."""
        return self._has_line or self.context.audit is None

    @property
    def is_guarded(self) -> bool:
        return self.context.access is not None

    @property
    def is_announced(self) -> bool:
        """The audit log has a line of the call before it acts."""
        return self.context.audit is not None and self.context.audit.is_required

    def admit(self) -> None:
        """It reads the index, so it is for a thread. Raises Unauthenticated, PermissionDenied."""
        if self.is_guarded:
            self.caller = caller_of_request(self.context, self.request)
            if self.method.permission and self.ids:
                self.caller.require(self.method.permission, resource_of(self.method.path, self.ids))

    def call(self) -> Call:
        """What the handler gets, without a body. The audit log knows of the call from here on, if it must.

        Raises InvalidArgument for a query that cannot be read, Unavailable where the audit log cannot be written.
        """
        if self.context.audit is not None:
            self._audited = self.context.audit.begin(*self._line())
        pairs, headers = parse_pairs(self._query()), self.request.headers
        if self.request.method != "GET" and "range" in headers:
            # Ranges are of GET alone (RFC 9110 §14.2).
            headers = Headers(raw=[(name, value) for name, value in headers.raw if name != b"range"])
        return Call(self.context, self.version, self.ids, pairs, headers, caller=self.caller)

    def _line(self) -> tuple[Request, str, ApiMethod, tuple[str, ...], Caller]:
        """With the ids that are in the query: who has seen what is what the audit log is for."""
        method, ids = self.method, self.ids
        named = _read_ids(self._query(), method.query_ids)
        if named:
            method, ids = method._replace(path=method.audited), (*ids, *named)
        return self.request, self.version, method, ids, self.caller

    def _query(self) -> str:
        return "&".join(filter(None, (_query(self.request), self.form)))

    def admitted_call(self) -> Call:
        """Both in one thread: each change of threads takes a tenth of a millisecond, more than most answers."""
        self.admit()
        return self.call()

    def run(self, work: Callable[..., Made], *arguments: object) -> Made:
        """Run a part of the work in a thread. The part that answers, or fails, writes the line of the audit log.

        The event loop would keep all other requests waiting for the file, and then for its turn at the GIL.
        """
        try:
            made = work(*arguments)
        except StatusError as error:
            self.record(error.code)
            raise
        if status := _status_of(made):
            self.record(Code.OK if status < 400 else Code.UNKNOWN)  # a part was refused
        return made

    def record(self, code: Code) -> None:
        """Write the line of the audit log, once: only the first ``code`` counts."""
        if self._has_line or self.context.audit is None:
            return
        self._has_line = True
        self.context.audit.record(*self._line(), code, self._audited)


def _read_ids(query: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The values of parameters; none where one of them is missing or can be no id."""
    if not names:
        return ()
    try:
        pairs = parse_pairs(query)
    except InvalidArgument:
        return ()
    values: dict[str, str] = {}
    for name, value in pairs:
        values.setdefault(name, value)
    found = tuple(values.get(name, "") for name in names)
    return found if all(value and len(value) <= _MAX_ID and is_path_segment(value) for value in found) else ()


def _status_of(made: Response | Begun | Later | NotYet | Unfinished | Call | None) -> int:
    """0 for what is not an answer yet."""
    if isinstance(made, Response):
        return made.status_code
    return 0 if made is None or isinstance(made, Later | NotYet | Unfinished | Call) else made[0].status


def caller_of_request(context: Context, request: Request) -> Caller:
    """Raises Unauthenticated, PermissionDenied."""
    query = dict(parse_pairs(_query(request)))
    return caller_of(context.access, context.seams, request.method, request.headers, query)


def _query(request: Request) -> str:
    text: str = request.scope["query_string"].decode("latin-1")
    return text
