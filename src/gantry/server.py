"""A running server: the application and its runner, from start to the signal that stops it."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import uvicorn
from prometheus_client import REGISTRY
from starlette.types import ASGIApp, Receive, Scope, Send

from gantry.access_wiring import open_access
from gantry.api import discovery, pages, readiness, tokens, viewer
from gantry.api.app import App, FormHandler, PageHandler
from gantry.api.audit import Audit
from gantry.api.call import Context
from gantry.api.forwarded import Proxies
from gantry.api.intake import Pace
from gantry.api.logging import JsonLines
from gantry.api.responses import error_response
from gantry.api.server_facts import ServerFacts, Source
from gantry.config import DataDirectory, open_seams
from gantry.connections import make_limited_protocol
from gantry.console import app as console
from gantry.console import rendering, sign_in
from gantry.emulator.emulator import Emulator
from gantry.engine_wiring import require_engine
from gantry.errors import InvalidArgument, NotFound
from gantry.facts_wiring import make_facts
from gantry.greeting import write_greeting
from gantry.heaps import share_heaps
from gantry.languages import ENGLISH, _, language, use_language
from gantry.listening import bind, require_certificate
from gantry.metrics.collector import ServerCollector
from gantry.metrics.disks import Disks
from gantry.metrics.requests import CountedRequests, Requests
from gantry.operations.runner import Runner
from gantry.pauses import keep_pauses_short
from gantry.port_file import port_file
from gantry.querying.runner import QueryJobs
from gantry.seams import Seams
from gantry.server_log import RequestLog, begin_log
from gantry.settings.loading import Settings, find_unknown
from gantry.studies.uploads import Uploads

logger = logging.getLogger(__name__)
NO_SOURCES: Mapping[str, Source] = MappingProxyType({})

_PAGES: dict[str, PageHandler] = {
    "readyz": readiness.readyz,
    "metrics": pages.metrics,
    "logs": pages.logs,
    "viewer": viewer.viewer,
    "": console.home,
    "console": console.show,
    "sign-in": sign_in.sign_in,
    "static": rendering.static,
    "$discovery": discovery.rest,
    "discovery": discovery.rest,
}
_INSTANT: dict[str, PageHandler] = {"healthz": pages.healthz}
_FORMS: dict[str, FormHandler] = {
    "token": tokens.give_token,
    "console": console.act,
    "sign-in": sign_in.take_token,
    "sign-out": sign_in.sign_out,
}

_SWITCH_SECONDS = 0.0005
"""Python's default makes the event loop wait up to 5 ms for each thread that is busy."""


class Edge:
    """Certificate, access and audit log: what a start can refuse before anything is opened."""

    def __init__(self, settings: Settings) -> None:
        """Raises InvalidArgument, FailedPrecondition."""
        require_certificate(settings.tls_cert, settings.tls_key)
        self.access = open_access(settings)
        self.proxies = Proxies(settings.trusted_proxies)
        self.audit = Audit(settings.audit_log, self.proxies, settings.audit_required) if settings.audit_log else None


class Gantry:
    """The parts of a server. No operation runs before ``start``."""

    def __init__(
        self,
        settings: Settings,
        seams: Seams,
        edge: Edge,
        leave: Callable[[], None],
        emulator: Emulator | None,
        facts: ServerFacts,
    ) -> None:
        """``leave`` is called when the server begins to end."""
        self.seams, self.leave = seams, leave
        self.runner = Runner(seams) if settings.runner else Runner(seams, slots=0)
        self.uploads = Uploads(seams)
        self.requests = Requests()
        self.jobs = QueryJobs(seams, settings.max_queries, 4 * settings.query_result_megabytes)
        forms = {**_FORMS, **(emulator.forms if emulator is not None else {})}
        self.app = App(_make_context(settings, self, edge, facts), _PAGES, forms, _INSTANT)
        if emulator is not None:
            emulator.begin(seams, self.uploads, self.runner)

    def start(self) -> None:
        self.seams.members.start(self.runner.describe, _end_expelled)
        self.runner.start()


def _end_expelled() -> None:
    """Others have taken over what this process was doing. A kill loses nothing: it is started again."""
    os._exit(1)


_PIXEL_SECONDS, _CLIENT_SECONDS, _END_SECONDS = 5, 8, 18
"""After the signal: how long pixel work may continue, how long clients may read and write, and when the process ends in
any case. Service managers wait 20 s or more before they kill."""


@contextmanager
def open_server(
    settings: Settings,
    edge: Edge,
    takes_requests: bool = True,
    emulator: Emulator | None = None,
    sources: Mapping[str, Source] = NO_SOURCES,
) -> Iterator[Gantry]:
    """Open the data directory and all parts of a server for the time of the block."""
    directory = DataDirectory(settings)
    try:
        seams = open_seams(settings, directory)
        if edge.access is not None:
            edge.access.begin(seams.index)
        if settings.log_json:
            seams = replace(seams, listener=JsonLines(sys.stdout))
        facts = make_facts(settings, directory, sources)
        gantry = Gantry(settings, seams, edge, directory.leave, emulator, facts)
        disks = Disks(_list_directories(settings))
        collector = ServerCollector(
            gantry.runner, seams, edge.audit, takes_requests, settings.runner, gantry.requests, disks
        )
        REGISTRY.register(collector)
        try:
            yield gantry
        finally:
            gantry.runner.stop()
            gantry.uploads.close()
            gantry.jobs.close()
            seams.members.stop()
            REGISTRY.unregister(collector)
            for workers in (seams.pixels, seams.executor):
                workers.end()
                workers.shutdown()
            seams.index.close()
    finally:
        directory.close()


def _list_directories(settings: Settings) -> dict[str, Path]:
    """By the settings, and storage classes, that name them."""
    classes = {name: Path(directory) for name, directory in settings.storage_classes.items()}
    return {"data": Path(settings.data).absolute(), "buckets": settings.buckets_path, **classes}


def _make_context(settings: Settings, gantry: Gantry, edge: Edge, facts: ServerFacts) -> Context:
    return Context(
        gantry.seams,
        gantry.runner.notify,
        gantry.uploads,
        settings.locations,
        settings.url,
        settings.strict_search,
        Path(settings.data).absolute() / "viewer",
        access=edge.access,
        most_operations=settings.max_operations,
        audit=edge.audit,
        pace=Pace(settings.upload_min_bytes_per_second, settings.upload_max_seconds),
        proxies=edge.proxies,
        accept_without_effect=settings.accept_without_effect,
        sweep=gantry.runner.sweep,
        waiting=gantry.runner.find_waiting,
        allowed_origins=settings.allowed_origins,
        looks=readiness.make_looks(gantry.seams),
        is_stopping=gantry.runner.is_stopping,
        any_name=settings.emulates,
        jobs=gantry.jobs,
        facts=facts,
    )


def serve(
    settings: Settings,
    takes_requests: bool = True,
    emulator: Emulator | None = None,
    sources: Mapping[str, Source] = NO_SOURCES,
) -> None:
    """Serve until SIGTERM or Ctrl-C. Running operations continue at the next start, or at once at another server.
    Without ``takes_requests`` it runs operations that came to others, and answers those alone who look after it.
    ``sources`` say where settings come from (``find_sources``).

    A start that is refused has opened no index and changed nothing. Raises InvalidArgument, FailedPrecondition.
    """
    if not takes_requests and not (settings.shares and settings.runner):
        raise InvalidArgument(
            "database, blobs: `gantry run` runs the operations of servers that share a database of PostgreSQL and a "
            "bucket; set both, and runner to true"
        )
    sys.setswitchinterval(_SWITCH_SECONDS)
    share_heaps()
    begin_log(settings.log_level, settings.log_json)
    for name in find_unknown(os.environ):
        logger.warning("the variable %s is no setting and has no effect", name)
    require_engine(settings)
    reader = language()
    with ExitStack() as opened:
        opened.enter_context(use_language(ENGLISH))  # of the log; each request may choose another
        sockets = opened.enter_context(bind(settings.host, settings.port))
        settings = replace(settings, port=sockets[0].getsockname()[1])  # 0 was any
        gantry = opened.enter_context(open_server(settings, Edge(settings), takes_requests, emulator, sources))
        announce = opened.enter_context(port_file(settings.port_file))
        config = uvicorn.Config(
            _make_entry(gantry, takes_requests, settings.log_requests),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=settings.keep_alive_seconds,
            timeout_graceful_shutdown=_CLIENT_SECONDS,
            server_header=False,
            http=make_limited_protocol(),
            ws="none",  # an installed WebSocket library must not take connections out of these limits
            proxy_headers=False,  # ``Proxies`` reads the headers of trusted proxies
            ssl_certfile=settings.tls_cert or None,
            ssl_keyfile=settings.tls_key or None,
        )
        _Server(config, settings, gantry, announce, reader).run(sockets)
    print(_("gantry: stopped"), file=sys.stderr)


def _make_entry(gantry: Gantry, takes_requests: bool, logs: bool) -> ASGIApp:
    app = gantry.app if takes_requests else _Looks(gantry.app)
    entry = CountedRequests(_Entry(app), gantry.requests)
    return RequestLog(entry) if logs else entry


class _Looks:
    """Answers of a server that takes no requests: whether it is well."""

    _PATHS = ("/healthz", "/readyz", "/metrics")

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._PATHS:
            error = NotFound("this server runs operations and takes no requests; send them to another one")
            await error_response(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class _Entry:
    """The application. A request that is interrupted by the end of the server is logged as a warning."""

    def __init__(self, app: App | _Looks) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            logger.warning("%s: interrupted, because the server stops", scope.get("path", ""))


def _kill_process() -> None:
    """End the process at once: a system call hangs, such as one on a disk that is gone. A kill loses nothing."""
    logger.warning("a thread does not stop; the process ends without it, operations continue at the next start")
    faulthandler.dump_traceback(all_threads=True)
    os._exit(0)


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, settings: Settings, gantry: Gantry, announce: Callable[[int], None], reader: str
    ) -> None:
        """``announce`` tells others the port, once the server is ready. ``reader``: the language of the greeting."""
        super().__init__(config)
        self._settings, self._gantry, self._announce, self._reader = settings, gantry, announce, reader

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would raise the signal again after its shutdown, before our own parts have been closed.
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop operations at once, pixel work after _PIXEL_SECONDS, and the process after _END_SECONDS in any case."""
        self._gantry.leave()
        self._gantry.runner.begin_stop()
        asyncio.get_running_loop().call_later(_PIXEL_SECONDS, self._gantry.seams.pixels.end)
        last = threading.Timer(_END_SECONDS, _kill_process)
        last.daemon = True
        last.start()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            keep_pauses_short()
            self._gantry.start()
            # With a log on stdout every line there is JSON.
            self._announce(self._settings.port)
            output = sys.stderr if self._settings.log_json else sys.stdout
            with use_language(self._reader):
                print(write_greeting(self._settings), file=output, flush=True)
