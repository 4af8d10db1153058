"""The API for our own pages: they call the same handlers, with the same permissions and audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request

from gantry.api import methods
from gantry.api.access import ANYBODY, Caller, resource_of
from gantry.api.bigquery import methods as bigquery
from gantry.api.body import Body
from gantry.api.call import Call, Context
from gantry.api.method import ApiMethod
from gantry.api.searching import DICOM_JSON
from gantry.api.visit import caller_of_request
from gantry.api.web import Later, WebHandler
from gantry.errors import Code, StatusError
from gantry.iam.policies import Principal
from gantry.json_text import parse_json
from gantry.names import check_segments

VERSION = "v1"
_Route = Callable[[str, str, list[str]], tuple[ApiMethod, tuple[str, ...]]]
_ROUTERS: Mapping[str, _Route] = {VERSION: methods.route, bigquery.VERSION: bigquery.route}


@dataclass(slots=True)
class Line:
    """A line of the audit log that is not written yet; ``who`` may be set until then."""

    who: Caller | Principal = ANYBODY


@contextmanager
def record(
    context: Context, request: Request, method: ApiMethod, ids: tuple[str, ...] = (), who: Caller = ANYBODY
) -> Iterator[Line]:
    """Write one line of the audit log for the block, with the code of the StatusError that leaves it.

    Raises Unavailable before the block where a line is required and cannot be written.
    """
    line, code, call = Line(who), Code.INTERNAL, ""
    try:
        if context.audit is not None:
            call = context.audit.begin(request, VERSION, method, ids, who)
        yield line
        code = Code.OK
    except StatusError as error:
        code = error.code
        raise
    finally:
        if context.audit is not None:
            context.audit.record(request, VERSION, method, ids, line.who, code, call)


class Inside:
    """Calls on behalf of the caller of a page. Raises Unauthenticated for an unknown caller, PermissionDenied for a
    session that another site uses; both are recorded in the audit log."""

    def __init__(self, context: Context, request: Request) -> None:
        self._context, self._request = context, request
        self.caller: Caller = ANYBODY
        if context.access is not None:
            self.caller = self._identify()

    def get(self, path: str, **query: str) -> Any:
        """The JSON that ``GET /v1/path`` answers. Raises StatusError."""
        return self.send("GET", path, {}, query)

    def send(
        self,
        verb: str,
        path: str,
        body: dict[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        version: str = VERSION,
    ) -> Any:
        with self.begin(verb, path, version) as (method, ids):
            return self._handle(method, ids, body or {}, dict(query or {}))

    @contextmanager
    def begin(self, verb: str, path: str, version: str = VERSION) -> Iterator[tuple[ApiMethod, tuple[str, ...]]]:
        """A call of the method at ``path`` that the block answers. Raises PermissionDenied, NotFound."""
        segments = path.split("/")
        check_segments(*segments)
        method, ids = _ROUTERS[version](verb, version, segments)
        with self.use(method, ids):
            yield method, ids

    @contextmanager
    def use(self, method: ApiMethod, ids: tuple[str, ...]) -> Iterator[None]:
        """Check and record the block as a call of ``method``. Raises PermissionDenied, which is recorded, too."""
        with record(self._context, self._request, method, ids, self.caller):
            if method.permission and ids:
                self.caller.require(method.permission, resource_of(method.path, ids))
            yield

    def _identify(self) -> Caller:
        """Only a failure is recorded here; the calls of a known caller are recorded one by one."""
        try:
            return caller_of_request(self._context, self._request)
        except StatusError:
            with record(self._context, self._request, methods.SHOW_PAGE):
                raise

    def _handle(self, method: ApiMethod, ids: tuple[str, ...], body: dict[str, Any], query: dict[str, str]) -> Any:
        handler = method.handler
        assert handler is not None, method.id  # noqa: S101 - pages call only methods that have a handler
        headers = Headers({"accept": DICOM_JSON})
        call = Call(self._context, VERSION, ids, list(query.items()), headers, Body.of(body), self.caller)
        if not isinstance(handler, WebHandler):
            return handler(call)
        answer = handler.call(call)
        if isinstance(answer, Later):
            answer = answer.make()
        data = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
        return parse_json(data) if data else []
