"""Who did what to which resource: a line of JSON per call, in the form of Cloud Audit Logs.

A line names a resource and a permission. It has nothing of the request or the answer: no query, no message, no token.
"""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from starlette.requests import Request

from gantry.api.access import Caller, full_name, resource_of
from gantry.api.audit_file import AuditFile
from gantry.api.call import MethodInfo
from gantry.api.forwarded import Proxies
from gantry.api.messages import Json
from gantry.api.wire import timestamp
from gantry.errors import Code, InvalidArgument, Unavailable
from gantry.iam.policies import Principal
from gantry.system_errors import describe_os_error

_ADMIN = ("create", "patch", "delete", "setIamPolicy")
_TYPE = "type.googleapis.com/google.cloud.audit.AuditLog"
_BIGQUERY, _BIGQUERY_NAMES = "bigquery.googleapis.com", "google.cloud.bigquery."
_PRODUCER = "healthcare.googleapis.com"
"""Of LogEntry.operation, which joins the lines of one call (first, last)."""
_MAX_AGENT = 200
_PROCESS, _numbers = secrets.token_hex(8), itertools.count()
"""What makes ids of lines unique. A call of the system for each would let other threads in, and the event loop wait."""


class Audit:
    """Appends to a file, which log rotation may move away. Raises InvalidArgument if it cannot be created. Thread-safe.

    ``proxies`` are trusted to name their clients. A line that cannot be written is counted and reported
    (``AuditFile``), and the call keeps its own answer. With ``is_required`` each call has a line before it acts, too,
    and is refused where that line cannot be written.
    """

    def __init__(self, path: str, proxies: Proxies, is_required: bool = False) -> None:
        self._proxies, self.is_required = proxies, is_required
        self.file = AuditFile(path)
        try:
            self.file.open()
        except OSError as error:
            raise InvalidArgument(f"audit_log {path}: {describe_os_error(error)}") from None

    def begin(
        self, request: Request, version: str, method: MethodInfo, ids: Sequence[str], who: Caller | Principal
    ) -> str:
        """Before a call acts: the id of the call, "" where lines are not required. Raises Unavailable."""
        if not self.is_required:
            return ""
        call = _make_id()
        if not self._write(request, version, method, ids, who, Code.OK, {"id": call, "first": True}):
            raise Unavailable(
                "the audit log cannot be written, and this server answers no call without it",
                advice="make room for it, or mount its disk again; the server's log has the reason",
            )
        return call

    def record(
        self,
        request: Request,
        version: str,
        method: MethodInfo,
        ids: Sequence[str],
        who: Caller | Principal,
        code: Code,
        call: str = "",
    ) -> None:
        """After a call: its outcome. ``call`` is what ``begin`` returned."""
        self._write(request, version, method, ids, who, code, {"id": call, "last": True} if call else {})

    def describe_loss(self) -> str:
        """What is wrong with the log now, "" for nothing. It tries to write what could not be written before."""
        return self.file.describe_loss()

    def _write(
        self,
        request: Request,
        version: str,
        method: MethodInfo,
        ids: Sequence[str],
        who: Caller | Principal,
        code: Code,
        part: Json,
    ) -> bool:
        source = {
            "callerIp": self._proxies.client(request.scope),
            "callerSuppliedUserAgent": request.headers.get("user-agent", "")[:_MAX_AGENT],
        }
        entry = _entry(source, version, method, ids, who, code)
        if part:
            entry["operation"] = part | {"producer": _PRODUCER}
        return self.file.append(json.dumps(entry, ensure_ascii=False))


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
        "serviceName": _BIGQUERY if method.id.startswith(_BIGQUERY_NAMES) else _PRODUCER,
        "methodName": _method_name(version, method),
        "resourceName": name,
        "authenticationInfo": {"principalEmail": who.name.partition(":")[2]} if who.name else {},
        "authorizationInfo": [{"resource": held, "permission": method.permission, "granted": granted}],
        "requestMetadata": source,
        "status": {"code": int(code)} if code is not Code.OK else {},
    }
    return {
        "insertId": _make_id(),
        "logName": f"projects/{project}/logs/cloudaudit.googleapis.com%2F{log}",
        "timestamp": timestamp(datetime.now(UTC)),
        "severity": "NOTICE" if is_admin and code is Code.OK else "INFO" if code is Code.OK else "ERROR",
        "resource": {"type": "audited_resource", "labels": {"project_id": project, "method": method.id}},
        "protoPayload": payload,
    }


def _make_id() -> str:
    return f"{_PROCESS}{next(_numbers):010x}"


def _method_name(version: str, method: MethodInfo) -> str:
    """What Google has no method for, such as signing in here, has a name of ours that begins with ``gantry.``."""
    return (
        method.id
        if method.id.startswith(("gantry.", _BIGQUERY_NAMES))
        else f"google.cloud.healthcare.{version}.projects.locations.{method.id}"
    )


def _name(method: MethodInfo, ids: Sequence[str]) -> str:
    """The path of the method with its ids, without a custom verb."""
    left = iter(ids)
    return "/".join(next(left, "*") if part.startswith("*") else part for part in method.path.split(":")[0].split("/"))
