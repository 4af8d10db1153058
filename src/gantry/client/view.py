"""The JSON of an operation, read for display."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from gantry.client.messages import describe_failure, find_reason
from gantry.client.terminal import format_duration
from gantry.languages import ENGLISH, N_, _, language
from gantry.operation_state import State, state_of

_OPERATIONS = {
    # For translators: the name of the operation, without an article, as "importation".
    "import": N_("an import"),
    "export": N_("an export"),
}
"""Words that may be verbs elsewhere, so that other words stand for them in the catalogues."""
_METHODS = (
    *(N_("create dataset"), N_("set blob storage settings"), N_("operation")),
    *(N_("delete study"), N_("delete series"), N_("update study metadata"), N_("update series metadata")),
)
_STATES = (
    *(N_("running"), N_("waiting"), N_("cancelling"), N_("succeeded"), N_("errors"), N_("failed"), N_("cancelled")),
)
_WAITS = (N_("room"), N_("bucket"), N_("disk"), N_("index"), N_("worker"))
"""What ``_`` finds by what the API answers."""


class Sample(NamedTuple):
    """An object that failed: its name, what is told of it, and the kind of failure, "" where that is not known."""

    resource: str
    message: str
    reason: str

    @classmethod
    def of(cls, item: dict[str, Any]) -> Sample:
        error = item.get("error", {})
        reason = find_reason(error.get("details", ()))
        message = describe_failure(str(error.get("message", "")), reason)
        return cls(str(item.get("resource", "")), message, reason)


@dataclass(frozen=True)
class OperationView:
    """The fields of an operation's JSON."""

    json: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.json["name"])

    @property
    def id(self) -> str:
        return self.name.rpartition("/")[2]

    @property
    def method(self) -> str:
        """``import``, ``export``, ``create dataset``: in English."""
        name = str(self._metadata.get("apiMethodName", "operation")).rpartition(".")[2].removesuffix("DicomData")
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()

    @property
    def title(self) -> str:
        """The method in the language of this call."""
        return self.method if language() == ENGLISH else _(_OPERATIONS.get(self.method, self.method))

    @property
    def state_title(self) -> str:
        return _(self.state)

    @property
    def done(self) -> bool:
        return bool(self.json.get("done"))

    @property
    def error(self) -> dict[str, Any]:
        """The error that it ended with; empty without one."""
        return dict(self.json.get("error") or {})

    @property
    def is_cancelled(self) -> bool:
        return self.state is State.CANCELLED

    @property
    def state(self) -> State:
        cancel_requested = bool(self._metadata.get("cancelRequested"))
        code = int(self.error.get("code", 0))
        return state_of(self.done, cancel_requested, code, self.success, bool(self._waiting))

    @property
    def waits_for(self) -> str:
        """What it waits for, since when, and what to do; "" where it does not wait."""
        if not self._waiting:
            return ""
        since = datetime.fromisoformat(self._waiting["since"])
        took = format_duration((datetime.now(UTC) - since).total_seconds())
        what = _(str(self._waiting["for"]).lower())
        return _("{what}, for {duration}: {message}").format(what=what, duration=took, message=self.wait_message)

    @property
    def wait_message(self) -> str:
        """What it waits for and what to do; the same as long as it waits for the same."""
        return str(self._waiting.get("message", ""))

    @property
    def next_attempt(self) -> datetime | None:
        text = self._waiting.get("nextAttemptTime")
        return datetime.fromisoformat(text) if text else None

    @property
    def _waiting(self) -> dict[str, Any]:
        return dict(self._metadata.get("waiting") or {})

    @property
    def error_message(self) -> str:
        return describe_failure(str(self.error.get("message", "")), find_reason(self.error.get("details", ())))

    @property
    def samples(self) -> list[Sample]:
        """The first failures."""
        errors = [item for detail in self.error.get("details", ()) for item in detail.get("sampleErrors", ())]
        return [Sample.of(item) for item in errors]

    @property
    def success(self) -> int:
        return self._count("success")

    @property
    def failure(self) -> int:
        return self._count("failure")

    @property
    def finished(self) -> int:
        return self.success + self.failure

    @property
    def total(self) -> int:
        """Objects of the operation that are known so far; grows while they are listed."""
        return self.finished + self._count("pending")

    @property
    def bytes(self) -> int:
        """What an import has read from its bucket, or an export has written."""
        return self._transferred("bytes")

    @property
    def unchecked(self) -> int:
        """Objects that were read, and whose provider has no checksum of their bytes."""
        return self._transferred("uncheckedObjects")

    @property
    def create_time(self) -> datetime:
        return self._time("createTime") or datetime.now(UTC)

    @property
    def seconds(self) -> float:
        """From its creation to its end, or to now."""
        return ((self._time("endTime") or datetime.now(UTC)) - self.create_time).total_seconds()

    @property
    def logs_url(self) -> str:
        return str(self._metadata.get("logsUrl", ""))

    @property
    def _metadata(self) -> dict[str, Any]:
        return dict(self.json.get("metadata") or {})

    def _count(self, name: str) -> int:
        return int((self._metadata.get("counter") or {}).get(name, 0))

    def _transferred(self, name: str) -> int:
        return int((self._metadata.get("transfer") or {}).get(name, 0))

    def _time(self, name: str) -> datetime | None:
        text = self._metadata.get(name)
        return datetime.fromisoformat(text) if text else None
