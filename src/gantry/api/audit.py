"""Who did what to which resource: one line of JSON per call, in the form of Cloud Audit Logs.

A line names a resource and a permission. It has nothing of the request or the answer: no query, no message, no token.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler

from starlette.requests import Request

from gantry.api.access import Caller, full_name, resource_of
from gantry.api.call import MethodInfo
from gantry.api.forwarded import Proxies
from gantry.api.messages import Json
from gantry.api.wire import timestamp
from gantry.errors import Code, InvalidArgument
from gantry.iam.policies import Principal
from gantry.system_errors import describe_os_error

logger = logging.getLogger(__name__)

_ADMIN = ("create", "patch", "delete", "setIamPolicy")
_TYPE = "type.googleapis.com/google.cloud.audit.AuditLog"
_MAX_AGENT = 200
_PROCESS, _numbers = secrets.token_hex(8), itertools.count()
"""What makes ids of lines unique. A call of the system for each would let other threads in, and the event loop wait."""


class Audit:
    """Appends to a file, which log rotation may move away. Raises InvalidArgument if it cannot be created.

    ``proxies`` are trusted to name their clients. A line that cannot be written is reported in the log, and the call
    goes on.
    """

    def __init__(self, path: str, proxies: Proxies) -> None:
        self._proxies = proxies
        try:
            self._file = _File(path, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise InvalidArgument(f"audit_log {path}: {describe_os_error(error)}") from None

    def find_trouble(self) -> str:
        return self._file.find_trouble()

    def record(
        self,
        request: Request,
        version: str,
        method: MethodInfo,
        ids: Sequence[str],
        who: Caller | Principal,
        code: Code,
    ) -> None:
        source = {
            "callerIp": self._proxies.client(request.scope),
            "callerSuppliedUserAgent": request.headers.get("user-agent", "")[:_MAX_AGENT],
        }
        line = json.dumps(_entry(source, version, method, ids, who, code), ensure_ascii=False)
        self._file.emit(logging.LogRecord("audit", logging.INFO, "", 0, line, None, None))


class _File(WatchedFileHandler):
    """Only its owner may read it, also after rotation."""

    def _open(self) -> TextIOWrapper:
        fd = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return open(fd, "a", encoding=self.encoding, errors=self.errors)

    def find_trouble(self) -> str:
        try:
            os.close(os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
        except OSError as error:
            return f"the audit log cannot be written: {describe_os_error(error)}"
        return ""

    def handleError(self, record: logging.LogRecord) -> None:
        logger.exception("a line of the audit log cannot be written")


def _entry(
    source: Json, version: str, method: MethodInfo, ids: Sequence[str], who: Caller | Principal, code: Code
) -> Json:
    project = ids[0] if ids else "-"
    is_admin = method.id.rpartition(".")[2] in _ADMIN and "/dicomWeb" not in method.path
    log = "activity" if is_admin else "data_access"
    name = _name(method, ids)
    held = full_name(resource_of(method.path, ids)) if ids else name
    granted = code not in (Code.PERMISSION_DENIED, Code.UNAUTHENTICATED)
    payload: Json = {
        "@type": _TYPE,
        "serviceName": "healthcare.googleapis.com",
        "methodName": _method_name(version, method),
        "resourceName": name,
        "authenticationInfo": {"principalEmail": who.name.partition(":")[2]} if who.name else {},
        "authorizationInfo": [{"resource": held, "permission": method.permission, "granted": granted}],
        "requestMetadata": source,
        "status": {"code": int(code)} if code is not Code.OK else {},
    }
    return {
        "insertId": f"{_PROCESS}{next(_numbers):010x}",
        "logName": f"projects/{project}/logs/cloudaudit.googleapis.com%2F{log}",
        "timestamp": timestamp(datetime.now(UTC)),
        "severity": "NOTICE" if is_admin and code is Code.OK else "INFO" if code is Code.OK else "ERROR",
        "resource": {"type": "audited_resource", "labels": {"project_id": project, "method": method.id}},
        "protoPayload": payload,
    }


def _method_name(version: str, method: MethodInfo) -> str:
    """What Google has no method for, such as signing in here, has a name of ours that begins with ``gantry.``."""
    return (
        method.id
        if method.id.startswith("gantry.")
        else f"google.cloud.healthcare.{version}.projects.locations.{method.id}"
    )


def _name(method: MethodInfo, ids: Sequence[str]) -> str:
    """The path of the method with its ids, without a custom verb."""
    left = iter(ids)
    return "/".join(next(left, "*") if part.startswith("*") else part for part in method.path.split(":")[0].split("/"))
