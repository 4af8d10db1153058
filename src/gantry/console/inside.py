"""The API from the inside: pages ask the same handlers, with the same permissions and lines of the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request

from gantry.api import methods
from gantry.api.access import ANYBODY, Caller, resource_of
from gantry.api.app import caller_of_request
from gantry.api.body import Body
from gantry.api.call import Call, Context
from gantry.api.method import ApiMethod
from gantry.api.web import WebHandler
from gantry.errors import Code, StatusError
from gantry.json_text import parse_json

VERSION = "v1"
_DICOM_JSON = "application/dicom+json"


class Inside:
    """Calls on behalf of whoever asked for a page. Raises Unauthenticated for nobody known."""

    def __init__(self, context: Context, request: Request) -> None:
        self._context, self._request = context, request
        self.caller: Caller = caller_of_request(context, request) if context.access is not None else ANYBODY

    def get(self, path: str, **query: str) -> Any:
        """What ``GET /v1/path`` answers, as JSON. Raises StatusError."""
        return self.send("GET", path, {}, query)

    def send(
        self, verb: str, path: str, body: dict[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> Any:
        method, ids = methods.route(verb, VERSION, path.split("/"))
        code = Code.INTERNAL
        try:
            if method.permission and ids:
                self.caller.require(method.permission, resource_of(method.path, ids))
            found = self._handled(method, ids, body or {}, dict(query or {}))
            code = Code.OK
            return found
        except StatusError as error:
            code = error.code
            raise
        finally:
            if self._context.audit is not None:
                self._context.audit.record(self._request, VERSION, method, ids, self.caller, code)

    def _handled(self, method: ApiMethod, ids: tuple[str, ...], body: dict[str, Any], query: dict[str, str]) -> Any:
        handler = method.handler
        assert handler is not None, method.id  # noqa: S101 - pages call what there is
        headers = Headers({"accept": _DICOM_JSON})
        call = Call(self._context, VERSION, ids, list(query.items()), headers, Body.of(body), self.caller)
        if not isinstance(handler, WebHandler):
            return handler(call)
        answer = handler.call(call)
        data = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
        return parse_json(data) if data else []
