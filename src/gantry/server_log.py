"""The server's own log, on stderr: as text or as lines of JSON, with a line for each request where that is wanted."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TEXT = "%(asctime)s %(levelname)s %(message)s"
_QUIET = ("alembic", "botocore")
"""They tell of each step, and of each process that finds its credentials."""

logger = logging.getLogger(__name__)


def begin_log(level: str, as_json: bool) -> None:
    """``level``: debug, info, warning or error; what is less severe is left out."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for each in _QUIET:
        logging.getLogger(each).setLevel(logging.WARNING)


class JsonFormatter(logging.Formatter):
    """One object on one line, with the members that Cloud Logging knows: ``timestamp``, ``severity``, ``message``,
    ``httpRequest`` of requests; and ``logger``, ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "severity": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if (request := getattr(record, "httpRequest", None)) is not None:
            line["httpRequest"] = request
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


class RequestLog:
    """An application with a line in the log for each request, once its answer has been sent or given up. The query is
    left out: it may name patients, or hold a token."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun, told = time.monotonic(), _Told()

        async def note(message: Message) -> None:
            told.take(message)
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            told.write(scope, time.monotonic() - begun)


class _Told:
    """What was answered: the status, 0 where nothing was, and the bytes of the body."""

    def __init__(self) -> None:
        self.status = self.size = 0

    def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))

    def write(self, scope: Scope, seconds: float) -> None:
        path = scope["raw_path"].partition(b"?")[0].decode("ascii", "backslashreplace")
        client = scope["client"][0] if scope.get("client") else ""
        request = {
            "requestMethod": scope["method"],
            "requestUrl": path,
            "status": self.status,
            "responseSize": str(self.size),
            "latency": f"{seconds:.3f}s",
            "remoteIp": client,
        }
        line = "%s %s %d, %d bytes in %.0f ms, to %s"
        values = (scope["method"], path, self.status, self.size, seconds * 1000, client)
        logger.info(line, *values, extra={"httpRequest": request})
