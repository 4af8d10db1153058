"""A running server: the application, its runner, its life from start to signal."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import uvicorn
from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gantry.api import discovery, pages, tokens, viewer
from gantry.api.app import App, Form, Page
from gantry.api.audit import Audit
from gantry.api.call import Context
from gantry.api.forwarded import Proxies
from gantry.api.logging import JsonLines
from gantry.config import DataDirectory, open_access, open_seams
from gantry.connections import limited
from gantry.console import app as console
from gantry.console import rendering, sign_in
from gantry.operations.runner import Runner
from gantry.seams import Seams
from gantry.settings.loading import Settings
from gantry.studies.uploads import Uploads

logger = logging.getLogger(__name__)

_PAGES: dict[str, Page] = {
    "healthz": pages.healthz,
    "readyz": pages.readyz,
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
_FORMS: dict[str, Form] = {
    "token": tokens.give_token,
    "console": console.act,
    "sign-in": sign_in.take_token,
    "sign-out": sign_in.sign_out,
}

_SWITCH_SECONDS = 0.0005
"""The event loop must not wait 5 ms, Python's default, behind each thread that is at work."""


@contextmanager
def running(settings: Settings) -> Iterator[App]:
    """The application with everything behind it, for as long as the block lasts."""
    directory = DataDirectory(settings)
    try:
        seams = open_seams(settings, directory)
        if settings.log_json:
            seams = replace(seams, listener=JsonLines(sys.stdout))
        runner = Runner(seams)
        uploads = Uploads(seams)
        collector = _Collector(runner)
        REGISTRY.register(collector)
        try:
            runner.start()
            yield App(_context(settings, seams, runner, uploads), _PAGES, _FORMS)
        finally:
            runner.stop()
            uploads.close()
            REGISTRY.unregister(collector)
            seams.pixels.shutdown()
            seams.executor.shutdown()
            seams.index.close()
    finally:
        directory.close()


def _context(settings: Settings, seams: Seams, runner: Runner, uploads: Uploads) -> Context:
    built = Path(settings.data).absolute() / "viewer"
    return Context(
        seams,
        runner.notify,
        uploads,
        settings.locations,
        settings.url,
        settings.strict_search,
        built,
        access=open_access(settings),
        most_operations=settings.max_operations,
        audit=Audit(settings.audit_log, Proxies(settings.trusted_proxies)) if settings.audit_log else None,
    )


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. Operations that are under way go on at the next start."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with running(settings) as app:
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=10,
            server_header=False,
            http=limited(),
            proxy_headers=False,  # ``Proxies`` reads what those that are trusted say
            ssl_certfile=settings.tls_cert or None,
            ssl_keyfile=settings.tls_key or None,
        )
        server = _Server(config, settings)
        server.run()
    if not server.started:
        raise SystemExit(1)
    print("gantry: stopped", file=sys.stderr)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._settings = settings

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would raise the signal again when it has shut down, before our own end has been put in order.
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            # With a log on stdout every line there is JSON.
            print(_greeting(self._settings), file=sys.stderr if self._settings.log_json else sys.stdout, flush=True)


def _greeting(settings: Settings) -> str:
    url = settings.url
    token = (
        "DISABLE_CREDENTIALS=true"
        if settings.auth == "none"
        else "ACCESS_TOKEN_FILE=FILE  # with a token that is known"
    )
    return (
        f"Gantry is ready at {url}; people open it in a browser\n"
        f"  gs://BUCKET/path is {settings.buckets_path}/BUCKET/path\n"
        "  point gcloud at it:\n"
        f"    export CLOUDSDK_API_ENDPOINT_OVERRIDES_HEALTHCARE={url}/\n"
        f"    export CLOUDSDK_AUTH_{token}\n"
        "  Ctrl-C stops it; operations under way go on at the next start."
    )


class _Collector(Collector):
    """What the runner has done since the server started."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("gantry_operations_running", "Operations under way.", value=self._runner.running)
        objects = CounterMetricFamily(
            "gantry_objects", "Objects and instances carried since start.", labels=["method", "outcome"]
        )
        for (method, outcome), count in self._runner.totals.read().items():
            objects.add_metric([method, outcome], count)
        yield objects
