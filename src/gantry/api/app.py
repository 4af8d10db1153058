"""The HTTP application: transport rules of every method, routing, errors."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from anyio import CancelScope
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gantry.api import logging as cloud_logging
from gantry.api import methods
from gantry.api.answer_headers import with_headers
from gantry.api.bigquery import methods as bigquery
from gantry.api.bigquery.errors import write_error
from gantry.api.body import MAX_BODY_BYTES, MAX_FORM_BYTES, Body
from gantry.api.call import Call, Context, Handler
from gantry.api.cross_origin import CrossOrigin
from gantry.api.field_selection import parse_fields, select
from gantry.api.hosts import require_host
from gantry.api.intake import Intake
from gantry.api.lanes import SHORT, Lane, Lanes
from gantry.api.method import ApiMethod, list_allowed
from gantry.api.news import Lookout, NotYet, Unfinished
from gantry.api.paths import segments_of
from gantry.api.preconditions import apply_conditions, require_unconditional
from gantry.api.responses import error_response, json_response
from gantry.api.streaming import StreamedAnswer, draw, watch_client
from gantry.api.turns import Turns
from gantry.api.visit import Made, Visit
from gantry.api.web import Answer, Begun, Later, WebHandler
from gantry.errors import Code, Internal, MethodNotAllowed, NotFound, Replaced, StatusError, Unimplemented
from gantry.languages import choose_by_header, use_language
from gantry.names import API_VERSIONS
from gantry.studies.departure import require_client

logger = logging.getLogger(__name__)

PageHandler = Callable[[Context, Request], ASGIApp]
FormHandler = Callable[[Context, Request, bytes], ASGIApp]
MAX_QUERY_BYTES = 1 << 20
"""Of a query that is sent in the body: above what servers usually take in an address (8 to 64 KiB)."""

_QUERY = "query"  # a page of a store in the console: below it are queries and their results
_HEALTH = ("healthz", "readyz")
"""Who looks after a server in a container comes by any name, and learns nothing of what is stored."""

_DISCOVERY = ("$discovery", "discovery")
"""Documents of the API, which Google's client for browsers reads from any page."""

_SIGN_IN = ("sign-in", "token")
"""Pages that may wait for an issuer of tokens."""

_WITH_BODY = ("POST", "PATCH", "PUT")
_OVERRIDABLE = {"GET", "PUT", "PATCH", "DELETE"}


class App:
    """ASGI application. ``pages`` are GET pages by their first path segment (metrics, logs), ``forms`` take the body
    of a POST, also by first segment. ``instant`` pages wait for nothing: the event loop answers them itself."""

    def __init__(
        self,
        context: Context,
        pages: Mapping[str, PageHandler],
        forms: Mapping[str, FormHandler],
        instant: Mapping[str, PageHandler],
    ) -> None:
        self._context = context
        self._pages, self._forms, self._instant = pages, forms, instant
        self._intake, self._lanes = Intake(context.pace), Lanes(context.seams.pixels.size)
        self._turns = Turns()
        self._lookout = Lookout(context.seams.index.feed.find_news, context.is_stopping)
        self._origins = context.origins if context.access is None else None
        self._cross_origin = CrossOrigin(context.allowed_origins)
        route = partial(methods.route, strict=context.strict_search)
        self._routers = dict.fromkeys(API_VERSIONS, route) | {
            cloud_logging.VERSION: cloud_logging.route,
            bigquery.VERSION: bigquery.route,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        send = with_headers(send, self._context.access is not None, scope, self._cross_origin)
        with use_language(choose_by_header(request.headers.get("accept-language", ""))):
            response = await self._take_care(request)
            if response is not None:
                await response(scope, receive, send)

    async def _take_care(self, request: Request) -> ASGIApp | None:
        """The answer, also where it is an error; None for a client that has left."""
        try:
            return await self._respond(request)
        except StatusError as error:
            return _write_error(request, error)
        except ClientDisconnect:
            return None
        except Exception:
            logger.exception("%s %s failed", request.method, request.url.path)
            return _write_error(request, Internal("internal error; the server's log has the details"))

    def _respond(self, request: Request) -> Awaitable[ASGIApp]:
        require_host(request)
        if request.method == "OPTIONS" and request.scope["path"] == "*":
            return _describe_server()
        segments = segments_of(request.scope)
        if self._origins is not None and segments[0] not in _HEALTH:
            self._origins.require_local(request.method, request.headers)
        if segments[0] in self._routers:
            return self._call(request, segments[0], segments[1:])
        return self._page(request, segments)

    async def _page(self, request: Request, segments: list[str]) -> ASGIApp:
        preflight = self._cross_origin.answer_preflight(request.method, request.headers)
        if preflight and segments[0] in _DISCOVERY:
            return preflight
        if request.method == "POST" and segments[0] in self._forms:
            await self._turns.take()
            body = await self._form(request, self._client(request), MAX_FORM_BYTES)
            form, lane = self._forms[segments[0]], _lane_of_page(segments, Lane.WRITE)
            return await self._lanes.run(lane, form, self._context, request, body)
        is_read = request.method in ("GET", "HEAD")
        if is_read and segments[0] in self._instant:
            return self._instant[segments[0]](self._context, request)
        page = self._pages.get(segments[0])
        if page is None or not is_read:
            return self._refuse_page(request, segments[0])
        lane = _lane_of_page(segments, Lane.READ)
        async with watch_client(request):
            return await self._lanes.run(lane, _show, page, self._context, request)

    def _refuse_page(self, request: Request, name: str) -> ASGIApp:
        """Raises NotFound, or MethodNotAllowed for a page that there is (RFC 9110 §15.5.6); answers OPTIONS for it."""
        what = f"no such page: {_verb(request)} {request.url.path[:200]}; the API begins at /v1/projects"
        verbs = [
            verb for verb, held in (("GET", {*self._pages, *self._instant}), ("POST", self._forms)) if name in held
        ]
        if not verbs:
            raise NotFound(what)
        if request.method == "OPTIONS":
            return _allow(list_allowed(verbs))
        error = MethodNotAllowed(what)
        error.allowed = list_allowed(verbs)
        raise error

    async def _form(self, request: Request, caller: str, most: int) -> bytes:
        """The body of a form, without its gzip. Raises InvalidArgument past ``most`` bytes."""
        async with AsyncExitStack() as stack:
            data = await self._intake.read(request, most, caller, stack)
            return Body.of_bytes(data, request.headers).whole(most)

    async def _call(self, request: Request, version: str, segments: list[str]) -> ASGIApp:
        if preflight := self._cross_origin.answer_preflight(request.method, request.headers):
            return preflight
        verb = _verb(request)
        require_unconditional(verb, request.headers)
        try:
            method, ids = self._routers[version](verb, version, segments or [""])
        except MethodNotAllowed as error:
            if verb != "OPTIONS":
                raise
            return _allow(error.allowed)
        if _lane_of(method) not in SHORT:
            await self._turns.take()
        visit = Visit(self._context, request, version, method, ids)
        try:
            if method.verb in _WITH_BODY or (request.method == "POST" and verb == "GET"):
                return await self._take(visit)
            return await self._answer(visit, visit.admitted_call)
        except StatusError as error:
            await self._record(visit, error.code)
            raise
        finally:
            await self._record(visit, Code.INTERNAL)

    async def _record(self, visit: Visit, code: Code) -> None:
        """Write the line of a call that no thread has answered, such as one whose client has left, unless it is
        written: in a thread, because the event loop waits for no disk, and also where the call is cancelled."""
        if not visit.is_recorded:
            with CancelScope(shield=True):
                await self._lanes.run(Lane.READ, visit.record, code)

    async def _take(self, visit: Visit) -> ASGIApp:
        """The answer to a request with a body, of which nothing is read before it is known who may send it."""
        request, handler = visit.request, visit.method.handler
        if visit.method.verb not in _WITH_BODY:
            # A query too long for a URL comes as a form in the body.
            await self._before_body(visit, visit.admit)
            form = await self._form(request, visit.caller.name or self._client(request), MAX_QUERY_BYTES)
            visit.form = form.decode("utf-8", "replace")
            return await self._answer(visit, visit.call)
        call = await self._before_body(visit, visit.admitted_call)
        caller = visit.caller.name or self._client(request)
        if handler is None:
            raise _unimplemented(visit.method)
        if isinstance(handler, WebHandler):
            upload = partial(visit.run, _upload, handler, call)
            return _response(*await self._intake.upload(request, caller, upload))
        async with AsyncExitStack() as stack:
            data = await self._intake.read(request, MAX_BODY_BYTES, caller, stack)
            call = replace(call, content=Body.of_bytes(data, request.headers))
            lane = _lane_of(visit.method)
            answer = await self._lanes.run(lane, visit.run, _answer_json, handler, call)
            return await self._finish(visit, lane, answer)

    async def _before_body(self, visit: Visit, work: Callable[[], Made]) -> Made:
        """In a thread where it reads the index or writes the audit log; the event loop waits for no disk."""
        if visit.is_guarded or visit.is_announced:
            return await self._lanes.run(Lane.READ, visit.run, work)
        return work()

    async def _answer(self, visit: Visit, make_call: Callable[[], Call]) -> ASGIApp:
        """The answer of a method without a body; ``make_call`` and its handler run in one thread."""
        handler, lane = visit.method.handler, _lane_of(visit.method)
        async with watch_client(visit.request):
            if not isinstance(handler, WebHandler):
                begun_json = await self._lanes.run(lane, visit.run, _begin_json, visit.method, make_call)
                return await self._finish(visit, lane, begun_json)
            begun = await self._lanes.run(lane, visit.run, _begin, handler, make_call)
            if isinstance(begun, Later):
                begun = await self._lanes.run(begun.lane, visit.run, _begin_later, begun, visit.request.headers)
            return _response(*begun)

    async def _finish(self, visit: Visit, lane: Lane, answer: Response | NotYet | Unfinished) -> Response:
        while not isinstance(answer, Response):
            await self._lookout.wait(self._lanes, answer)
            answer = await self._lanes.run(lane, visit.run, answer.again)
        return answer

    def _client(self, request: Request) -> str:
        return self._context.proxies.client(request.scope)


def _write_error(request: Request, error: StatusError) -> Response:
    is_bigquery = request.scope["path"].startswith(f"/{bigquery.VERSION}/")
    return write_error(error) if is_bigquery else error_response(error)


async def _describe_server() -> ASGIApp:
    """RFC 9110 §9.3.7."""
    return _allow(list_allowed(("GET", "DELETE", *_WITH_BODY)))


def _allow(verbs: Sequence[str]) -> Response:
    return Response(status_code=204, headers={"allow": ", ".join(verbs)})


def _lane_of(method: ApiMethod) -> Lane:
    """The threads that its handler runs in, where it takes no body."""
    if isinstance(method.handler, WebHandler):
        return method.handler.lane
    if method.id.startswith(bigquery.NAMES):
        return Lane.TABLE
    return Lane.READ if method.verb == "GET" else Lane.WRITE


def _lane_of_page(segments: list[str], otherwise: Lane) -> Lane:
    if segments[0] in _SIGN_IN:
        return Lane.SIGN_IN
    return Lane.TABLE if segments[9:10] == [_QUERY] else otherwise


def _show(page: PageHandler, context: Context, request: Request) -> ASGIApp:
    require_client()
    return page(context, request)


def _begin_json(method: ApiMethod, make_call: Callable[[], Call]) -> Response | NotYet | Unfinished:
    require_client()
    call, handler = make_call(), method.handler
    if handler is None or isinstance(handler, WebHandler):
        raise _unimplemented(method)
    return _answer_json(handler, call)


def _answer_json(handler: Handler, call: Call) -> Response | NotYet | Unfinished:
    return _write_json(call, partial(handler, call))


def _write_json(call: Call, make: Callable[[], dict[str, Any] | NotYet | Unfinished]) -> Response | NotYet | Unfinished:
    """``fields`` and ``prettyPrint`` say how much of the answer, and how it is laid out (spec 1.3)."""
    wanted = parse_fields(call.query.get("fields", ""))  # what is wrong is refused before anything is done
    value = make()
    if isinstance(value, NotYet | Unfinished):
        return value._replace(again=partial(_write_json, call, value.again))
    is_pretty = call.query.get("prettyPrint", "").lower() not in ("false", "0")
    return json_response(select(value, wanted), pretty=is_pretty)


def _unimplemented(method: ApiMethod) -> Unimplemented:
    return Unimplemented(
        f"{methods.instead_of(method)}: {method.id} is not implemented by this server; docs/coverage.md lists what is"
    )


def _begin(handler: WebHandler, make_call: Callable[[], Call]) -> Begun | Later:
    """A client that has left while its request waited for a thread costs nothing more. Raises Cancelled for it.

    Where an instance is replaced before anything is sent, the call begins again with what is stored now; once.
    """
    require_client()
    call = make_call()
    with suppress(Replaced):
        return _make_first(handler, call)
    return _make_first(handler, call)


def _make_first(handler: WebHandler, call: Call) -> Begun | Later:
    answer = handler.call(call)
    if isinstance(answer, Later):
        return answer._replace(make=partial(_make_again, handler, call, answer))
    return _condition(call.headers, *_first(answer))


def _make_again(handler: WebHandler, call: Call, later: Later) -> Answer:
    with suppress(Replaced):
        return later.make()
    answer = handler.call(call)
    return answer.make() if isinstance(answer, Later) else answer


def _condition(headers: Headers, begun: Answer, first: list[bytes]) -> Begun:
    answer = apply_conditions(headers, begun)
    return answer, first if answer is begun else []


def _begin_later(later: Later, headers: Headers) -> Begun:
    require_client()
    return _condition(headers, *_first(later.make()))


def _first(answer: Answer) -> Begun:
    """The answer with its first pieces. A short one is returned whole: each change of threads costs a tenth of a ms.

    An error up to here can still set the status of the answer.
    """
    if isinstance(answer.body, bytes):
        return answer, []
    first, ended = draw(answer.body)
    return (replace(answer, body=b"".join(first)), []) if ended else (answer, first)


def _upload(handler: WebHandler, call: Call, read: Callable[[], bytes]) -> Begun:
    answer = handler.call(replace(call, content=Body(read, call.headers)))
    return _first(answer.make() if isinstance(answer, Later) else answer)


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
