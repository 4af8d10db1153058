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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import uvicorn
from prometheus_client import REGISTRY
from starlette.types import Receive, Scope, Send

from gantry.access_wiring import open_access
from gantry.api import discovery, pages, readiness, tokens, viewer
from gantry.api.app import App, FormHandler, PageHandler
from gantry.api.audit import Audit
from gantry.api.call import Context
from gantry.api.forwarded import Proxies
from gantry.api.intake import Pace
from gantry.api.logging import JsonLines
from gantry.api.responses import error_response
from gantry.config import DataDirectory, open_seams
from gantry.connections import make_limited_protocol
from gantry.console import app as console
from gantry.console import rendering, sign_in
from gantry.engine_wiring import require_engine
from gantry.errors import InvalidArgument, NotFound
from gantry.heaps import share_heaps
from gantry.listening import bind, require_certificate
from gantry.metrics.collector import ServerCollector
from gantry.operations.runner import Runner
from gantry.pauses import keep_pauses_short
from gantry.querying.runner import QueryJobs
from gantry.seams import Seams
from gantry.settings.loading import Settings
from gantry.studies.uploads import Uploads

logger = logging.getLogger(__name__)

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

    def __init__(self, settings: Settings, seams: Seams, edge: Edge) -> None:
        self.seams = seams
        self.runner = Runner(seams) if settings.runner else Runner(seams, slots=0)
        self.uploads = Uploads(seams)
        self.jobs = QueryJobs(seams, settings.max_queries, 4 * settings.query_result_megabytes)
        self.app = App(_make_context(settings, self, edge), _PAGES, _FORMS, _INSTANT)

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
def open_server(settings: Settings, edge: Edge, takes_requests: bool = True) -> Iterator[Gantry]:
    """Open the data directory and all parts of a server for the time of the block."""
    directory = DataDirectory(settings)
    try:
        seams = open_seams(settings, directory)
        if edge.access is not None:
            edge.access.begin(seams.index)
        if settings.log_json:
            seams = replace(seams, listener=JsonLines(sys.stdout))
        gantry = Gantry(settings, seams, edge)
        collector = ServerCollector(gantry.runner, seams, edge.audit, takes_requests, settings.runner)
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


def _make_context(settings: Settings, gantry: Gantry, edge: Edge) -> Context:
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
        jobs=gantry.jobs,
    )


def serve(settings: Settings, takes_requests: bool = True) -> None:
    """Serve until SIGTERM or Ctrl-C. Running operations continue at the next start, or at once at another server.
    Without ``takes_requests`` it runs operations that came to others, and answers those alone who look after it.

    A start that is refused has opened no index and changed nothing. Raises InvalidArgument, FailedPrecondition.
    """
    if not takes_requests and not (settings.shares and settings.runner):
        raise InvalidArgument(
            "database, blobs: `gantry run` runs the operations of servers that share a database of PostgreSQL and a "
            "bucket; set both, and runner to true"
        )
    sys.setswitchinterval(_SWITCH_SECONDS)
    share_heaps()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for each in ("alembic", "botocore"):  # they tell of each step, and of each process that finds its credentials
        logging.getLogger(each).setLevel(logging.WARNING)
    require_engine(settings)
    edge = Edge(settings)
    with bind(settings.host, settings.port) as sockets, open_server(settings, edge, takes_requests) as gantry:
        config = uvicorn.Config(
            _Entry(gantry.app) if takes_requests else _Entry(_Looks(gantry.app)),
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
        _Server(config, settings, gantry).run(sockets)
    print("gantry: stopped", file=sys.stderr)


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
    def __init__(self, config: uvicorn.Config, settings: Settings, gantry: Gantry) -> None:
        super().__init__(config)
        self._settings, self._gantry = settings, gantry

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
            print(
                _write_greeting(self._settings), file=sys.stderr if self._settings.log_json else sys.stdout, flush=True
            )


def _write_greeting(settings: Settings) -> str:
    url = settings.url
    token = (
        "DISABLE_CREDENTIALS=true" if settings.auth == "none" else "ACCESS_TOKEN_FILE=FILE  # a file with a valid token"
    )
    kept = f"  accepted without effect: {names}\n" if (names := ", ".join(settings.accept_without_effect)) else ""
    return (
        f"Gantry is ready at {url}; open it in a browser\n"
        f"  gs://BUCKET/path is {settings.buckets_path}/BUCKET/path\n"
        f"{kept}"
        "  to use it with gcloud:\n"
        f"    export CLOUDSDK_API_ENDPOINT_OVERRIDES_HEALTHCARE={url}/\n"
        f"    export CLOUDSDK_AUTH_{token}\n"
        "  Ctrl-C stops it; running operations continue at the next start."
    )
