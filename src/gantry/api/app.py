"""The HTTP application: transport rules of every method, routing, errors. The only async code there is."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gantry.api import logging as cloud_logging
from gantry.api import methods
from gantry.api.access import ANYBODY, Caller, caller_of, resource_of
from gantry.api.answer_headers import with_headers
from gantry.api.body import MAX_BODY_BYTES, decode
from gantry.api.call import Call, Context
from gantry.api.origins import Origins
from gantry.api.paths import segments_of
from gantry.api.ranges import Unsatisfiable
from gantry.api.streaming import BodyReader, Lanes, StreamedAnswer, draw, pieces
from gantry.api.web import Answer, WebCall, WebHandler
from gantry.errors import (
    Code,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    StatusError,
    Unauthenticated,
    Unimplemented,
)
from gantry.names import API_VERSIONS

logger = logging.getLogger(__name__)

Page = Callable[[Context, Request], ASGIApp]
Form = Callable[[Context, Request, bytes], ASGIApp]
_JSON = "application/json; charset=UTF-8"
_MAX_PARAMETERS, MAX_FORM_BYTES = 1000, 1 << 20
_OVERRIDABLE = {"GET", "PUT", "PATCH", "DELETE"}
_ROUTERS = dict.fromkeys(API_VERSIONS, methods.route) | {cloud_logging.VERSION: cloud_logging.route}


class App:
    """ASGI application. ``pages`` are plain GET pages by first path segment (health, metrics, logs), ``forms`` take
    the body of a POST, by first segment too."""

    def __init__(self, context: Context, pages: dict[str, Page], forms: Mapping[str, Form]) -> None:
        self._context = context
        self._pages, self._forms = pages, forms
        self._lanes = Lanes()
        self._origins = Origins(context.public_url) if context.access is None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        send = with_headers(send, self._context.access is not None)
        try:
            response = await self._respond(request)
        except StatusError as error:
            response = error_response(error)
        except ClientDisconnect:
            return
        except Exception:
            logger.exception("%s %s failed", request.method, request.url.path)
            response = error_response(Internal("internal error; the server's log has the details"))
        await response(scope, receive, send)

    def _respond(self, request: Request) -> Awaitable[ASGIApp]:
        segments = segments_of(request.scope)
        if self._origins is not None:
            self._origins.require_local(request.method, request.headers)
        if segments[0] in _ROUTERS:
            return self._call(request, segments[0], segments[1:])
        return self._page(request, segments)

    async def _page(self, request: Request, segments: list[str]) -> ASGIApp:
        if request.method == "POST" and segments[0] in self._forms:
            body = await _read(request)
            return await run_sync(self._forms[segments[0]], self._context, request, body)
        page = self._pages.get(segments[0])
        if page is None or request.method not in ("GET", "HEAD"):
            raise NotFound(f"no such page: {request.method} {request.url.path}; the API begins at /v1/projects")
        return await run_sync(page, self._context, request)

    async def _call(self, request: Request, version: str, segments: list[str]) -> ASGIApp:
        headers = request.headers
        verb, query_text = request.method, request.scope["query_string"].decode("latin-1")
        override = headers.get("x-http-method-override", "").upper()
        in_form = verb == "POST" and override == "GET"
        if verb == "POST" and override in _OVERRIDABLE:
            verb = override
        method, ids = _ROUTERS[version](verb, version, segments or [""])
        caller, code = ANYBODY, Code.INTERNAL
        try:
            if self._context.access is not None:
                caller, denied = await run_sync(_allowed, self._context, request, method, ids)
                if denied is not None:
                    raise denied
            if in_form:
                # A query too long for a URL comes as a form in the body.
                form = (await _read(request, MAX_FORM_BYTES)).decode("utf-8", "replace")
                query_text = "&".join(filter(None, (query_text, form)))
            response = await self._carried(request, method, version, ids, query_text, b"" if in_form else None, caller)
            code = Code.OK if getattr(response, "status_code", 200) < 400 else Code.UNKNOWN  # a part was refused
            return response
        except StatusError as error:
            code = error.code
            raise
        finally:
            if self._context.audit is not None:
                self._context.audit.record(request, version, method, ids, caller, code)

    async def _carried(
        self,
        request: Request,
        method: methods.ApiMethod,
        version: str,
        ids: tuple[str, ...],
        query_text: str,
        body: bytes | None,
        caller: Caller,
    ) -> ASGIApp:
        """The answer of a method's handler. ``body`` is None where it has not been read yet."""
        if method.handler is None:
            raise Unimplemented(f"{method.id} is known but not implemented yet; docs/coverage.md lists what is")
        if isinstance(method.handler, WebHandler):
            return await self._web(request, method.handler, version, ids, query_text)
        body = await _read(request) if body is None else body
        query, headers = _query(query_text), request.headers
        fields = {}
        if method.verb in ("POST", "PATCH", "PUT"):
            fields = decode(body, headers.get("content-encoding", ""), _charset(headers.get("content-type", "")))
        call = Call(self._context, version, ids, query, fields, caller)
        return json_response(await run_sync(method.handler, call))

    async def _web(
        self, request: Request, handler: WebHandler, version: str, ids: tuple[str, ...], query_text: str
    ) -> ASGIApp:
        """The first pieces are made before the answer begins: until then an error can have its own status."""
        reader = BodyReader(request)
        accept = request.headers.getlist("accept")
        call = WebCall(self._context, version, ids, _pairs(query_text), request.headers, accept, reader.read)
        answer, first = await run_sync(_begun, handler, call, limiter=self._lanes.of(request.method, handler))
        if isinstance(answer.body, bytes):
            headers = answer.headers | ({"content-type": answer.content_type} if answer.content_type else {})
            return Response(answer.body, answer.status, headers)
        return StreamedAnswer(answer, first, answer.body)


def _allowed(
    context: Context, request: Request, method: methods.ApiMethod, ids: tuple[str, ...]
) -> tuple[Caller, PermissionDenied | None]:
    """Who is calling, and why they may not. Before anything is read of the body. Raises Unauthenticated."""
    caller = caller_of_request(context, request)
    try:
        if method.permission and ids:
            caller.require(method.permission, resource_of(method.path, ids))
    except PermissionDenied as error:
        return caller, error
    return caller, None


def caller_of_request(context: Context, request: Request) -> Caller:
    """Raises Unauthenticated, PermissionDenied."""
    query = dict(_pairs(request.scope["query_string"].decode("latin-1")))
    return caller_of(context.access, context.seams, request.method, request.headers, query)


def _begun(handler: WebHandler, call: WebCall) -> tuple[Answer, list[bytes]]:
    """The answer with its first pieces; whole where these are all, as each change of threads costs a tenth of a ms."""
    answer = handler.call(call)
    if isinstance(answer.body, bytes):
        return answer, []
    first, ended = draw(answer.body)
    return (replace(answer, body=b"".join(first)), []) if ended else (answer, first)


def json_response(value: Any, status: int = 200) -> Response:
    """JSON as the API writes it: UTF-8, indented, a final newline."""
    text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    return Response(text.encode("utf-8", "replace"), status, {"content-type": _JSON})


def error_response(error: StatusError) -> Response:
    body: dict[str, Any] = {"code": error.http, "message": error.message, "status": error.code.name}
    if error.details:
        body["details"] = list(error.details)
    response = json_response({"error": body}, error.http)
    if isinstance(error, Unauthenticated):
        response.headers["www-authenticate"] = 'Bearer realm="gantry"'
    if isinstance(error, Unsatisfiable):
        response.headers["content-range"] = f"bytes */{error.size}"
    return response


def _pairs(text: str) -> list[tuple[str, str]]:
    """Parameters in their order, as UTF-8."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS, errors="strict")
    except UnicodeDecodeError:
        raise InvalidArgument("the query is not valid UTF-8") from None
    except ValueError:
        raise InvalidArgument(f"the query has more than {_MAX_PARAMETERS} parameters") from None


def _query(text: str) -> dict[str, str]:
    """Parameters by camelCase name; the first of several counts."""
    found: dict[str, str] = {}
    for key, value in _pairs(text):
        head, *rest = key.split("_")
        found.setdefault(head + "".join(part[:1].upper() + part[1:] for part in rest) if head else key, value)
    return found


def _charset(content_type: str) -> str:
    for part in content_type.split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'")
    return ""


async def _read(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """The body. Raises InvalidArgument past the limit."""
    chunks, size = [], 0
    async for chunk in pieces(request):
        size += len(chunk)
        if size > limit:
            raise InvalidArgument(f"the request body is larger than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
