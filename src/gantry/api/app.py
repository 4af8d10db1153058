"""The HTTP application: transport rules of every method, routing, errors."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gantry.api import logging as cloud_logging
from gantry.api import methods
from gantry.api.access import ANYBODY, Caller, caller_of, resource_of
from gantry.api.answer_headers import with_headers
from gantry.api.body import MAX_BODY_BYTES, MAX_FORM_BYTES, Body
from gantry.api.call import Call, Context
from gantry.api.field_selection import parse_fields, select
from gantry.api.intake import Intake
from gantry.api.method import ApiMethod
from gantry.api.origins import Origins
from gantry.api.parameters import parse_pairs
from gantry.api.paths import segments_of
from gantry.api.responses import error_response, json_response
from gantry.api.streaming import StreamedAnswer, draw, watch_client
from gantry.api.web import Answer, WebHandler
from gantry.errors import Code, Internal, NotFound, PermissionDenied, StatusError, Unimplemented
from gantry.names import API_VERSIONS

logger = logging.getLogger(__name__)

PageHandler = Callable[[Context, Request], ASGIApp]
FormHandler = Callable[[Context, Request, bytes], ASGIApp]
MAX_QUERY_BYTES = 1 << 20
"""Of a query that is sent in the body: above what servers usually take in an address (8 to 64 KiB)."""

QUICK = 4
"""Searches that run at a time: more threads would only wait for each other."""

_OVERRIDABLE = {"GET", "PUT", "PATCH", "DELETE"}
_ROUTERS = dict.fromkeys(API_VERSIONS, methods.route) | {cloud_logging.VERSION: cloud_logging.route}


class App:
    """ASGI application. ``pages`` are GET pages by their first path segment (health, metrics, logs), ``forms`` take
    the body of a POST, also by first segment."""

    def __init__(self, context: Context, pages: dict[str, PageHandler], forms: Mapping[str, FormHandler]) -> None:
        self._context = context
        self._pages, self._forms = pages, forms
        self._intake, self._quick = Intake(context.pace), CapacityLimiter(QUICK)
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
            body = await self._form(request, self._client(request), MAX_FORM_BYTES)
            return await run_sync(self._forms[segments[0]], self._context, request, body)
        page = self._pages.get(segments[0])
        if page is None or request.method not in ("GET", "HEAD"):
            raise NotFound(f"no such page: {_verb(request)} {request.url.path[:200]}; the API begins at /v1/projects")
        return await run_sync(page, self._context, request)

    async def _form(self, request: Request, caller: str, most: int) -> bytes:
        """The body of a form, without its gzip. Raises InvalidArgument past ``most`` bytes."""
        async with AsyncExitStack() as stack:
            data = await self._intake.read(request, most, caller, stack)
            return Body.of_bytes(data, request.headers).whole(most)

    async def _call(self, request: Request, version: str, segments: list[str]) -> ASGIApp:
        verb = _verb(request)
        in_form = request.method == "POST" and verb == "GET"
        method, ids = _ROUTERS[version](verb, version, segments or [""])
        caller, code = ANYBODY, Code.INTERNAL
        try:
            if self._context.access is not None:
                caller, denied = await run_sync(_allowed, self._context, request, method, ids)
                if denied is not None:
                    raise denied
            query_text = request.scope["query_string"].decode("latin-1")
            if in_form:
                # A query that is too long for a URL may be sent as a form.
                form = await self._form(request, caller.name or self._client(request), MAX_QUERY_BYTES)
                query_text = "&".join(filter(None, (query_text, form.decode("utf-8", "replace"))))
            call = Call(self._context, version, ids, parse_pairs(query_text), request.headers, caller=caller)
            response = await self._handle(request, method, call)
            code = Code.OK if getattr(response, "status_code", 200) < 400 else Code.UNKNOWN  # a part was refused
            return response
        except StatusError as error:
            code = error.code
            raise
        finally:
            if self._context.audit is not None:
                self._context.audit.record(request, version, method, ids, caller, code)

    async def _handle(self, request: Request, method: ApiMethod, call: Call) -> ASGIApp:
        """The answer of a method's handler."""
        handler, caller = method.handler, call.caller.name or self._client(request)
        if handler is None:
            raise Unimplemented(
                f"{methods.instead_of(method)}: {method.id} is not implemented by this server; docs/coverage.md lists "
                "what is"
            )
        has_body = method.verb in ("POST", "PATCH", "PUT")
        if isinstance(handler, WebHandler):
            if has_body:
                answer, first = await self._intake.upload(request, caller, partial(_upload, handler, call))
            else:
                async with watch_client(request):
                    answer, first = await run_sync(
                        _begin, handler, call, limiter=self._quick if handler.quick else None
                    )
            return _response(answer, first)
        wanted = parse_fields(call.query.get("fields", ""))
        pretty = call.query.get("prettyPrint", "").lower() not in ("false", "0")
        async with AsyncExitStack() as stack:
            if has_body:
                data = await self._intake.read(request, MAX_BODY_BYTES, caller, stack)
                call = replace(call, content=Body.of_bytes(data, request.headers))
            return await run_sync(lambda: json_response(select(handler(call), wanted), pretty=pretty))

    def _client(self, request: Request) -> str:
        return self._context.proxies.client(request.scope)


def _allowed(
    context: Context, request: Request, method: ApiMethod, ids: tuple[str, ...]
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
    query = dict(parse_pairs(request.scope["query_string"].decode("latin-1")))
    return caller_of(context.access, context.seams, request.method, request.headers, query)


def _begin(handler: WebHandler, call: Call) -> tuple[Answer, list[bytes]]:
    """The answer with its first pieces. A short one is returned whole: each change of threads costs a tenth of a ms.

    An error up to here can still set the status of the answer.
    """
    answer = handler.call(call)
    if isinstance(answer.body, bytes):
        return answer, []
    first, ended = draw(answer.body)
    return (replace(answer, body=b"".join(first)), []) if ended else (answer, first)


def _upload(handler: WebHandler, call: Call, read: Callable[[], bytes]) -> tuple[Answer, list[bytes]]:
    return _begin(handler, replace(call, content=Body(read, call.headers)))


def _response(answer: Answer, first: list[bytes]) -> ASGIApp:
    if isinstance(answer.body, bytes):
        headers = answer.headers | ({"content-type": answer.content_type} if answer.content_type else {})
        return Response(answer.body, answer.status, headers)
    return StreamedAnswer(answer, first, answer.body)


def _verb(request: Request) -> str:
    """HEAD is GET without its body (RFC 9110 §9.3.2); POST may name another method in X-HTTP-Method-Override."""
    override = request.headers.get("x-http-method-override", "").strip().upper()
    if request.method == "POST" and override in _OVERRIDABLE:
        return override
    return "GET" if request.method == "HEAD" else request.method
