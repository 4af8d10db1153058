"""Every error that may pass a port or reach a caller: one class per ``google.rpc.Code``.

    StatusError
    ├── Cancelled 1 (HTTP 499)           ├── PermissionDenied 7 (403)    ├── Unimplemented 12 (501)
    ├── Unknown 2 (500)                  ├── ResourceExhausted 8 (429)   ├── Internal 13 (500)
    ├── InvalidArgument 3 (400)          ├── FailedPrecondition 9 (400)  ├── Unavailable 14 (503)
    ├── DeadlineExceeded 4 (504)         ├── Aborted 10 (409)            ├── DataLoss 15 (500)
    ├── NotFound 5 (404)                 └── OutOfRange 11 (400)         └── Unauthenticated 16 (401)
    └── AlreadyExists 6 (409)

Errors are converted in four places only: adapters and ``dicom`` turn the exceptions of their libraries into a
``StatusError``; ``containment`` turns an unexpected exception about one instance into ``Internal``; ``ingest`` and the
services turn the ``StatusError`` of one object into a ``Failure``; ``api.responses`` turns a ``StatusError`` into the
JSON error body.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, ClassVar, Self, TypeVar

from gantry.reasons import Reason


class Code(IntEnum):
    """``google.rpc.Code`` numbers, as they stand in ``Operation.error.code``."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Wait(StrEnum):
    """What an operation waits for."""

    ROOM = "ROOM"
    BUCKET = "BUCKET"
    DISK = "DISK"
    INDEX = "INDEX"
    WORKER = "WORKER"


@dataclass(frozen=True, slots=True)
class Status:
    """A code, what happened, what to do about it, and of which kind it is, if of one (``reasons``).

    A status read from the index has its whole text in ``what``."""

    code: Code
    what: str
    advice: str = ""
    kind: Reason | None = None

    @property
    def reason(self) -> Reason:
        """``kind``, else the name of the code."""
        return self.kind or Reason[self.code.name]

    @property
    def message(self) -> str:
        """``what`` and ``advice`` as sentences."""
        return _sentences(self.what, self.advice)


MAX_MESSAGE, _MAX_FIELD = 1500, 200
"""Characters of a message, and of a field's name: both may repeat what a client sent. The longest messages have about
1,300."""


def shorten(text: str, most: int = MAX_MESSAGE) -> str:
    """Cut the middle out of a long text: a message begins with what is wrong and ends with what to do."""
    tail = most // 3
    return text if len(text) <= most else f"{text[: most - tail - 3]} … {text[-tail:]}"


def _sentences(what: str, advice: str) -> str:
    """``What happened. What to do``: only the first is cut when both are too long."""
    if not advice:
        return shorten(what)
    most = MAX_MESSAGE - len(advice) - 2
    cut = what if len(what) <= most else f"{what[: most - 1]}…"
    return f"{cut}. {advice[0].upper()}{advice[1:]}"


class StatusError(Exception):
    """Base of all errors that callers may see. ``details`` are copied to ``error.details`` of the body."""

    code: ClassVar[Code] = Code.UNKNOWN
    http: ClassVar[int] = 500
    kind: Reason | None = None  # of which kind of failure it is, where its class has several
    resource: str = ""  # the object it is about, where that is not the operation's own subject
    retry_after: int = 0  # seconds after which to try again, 0 if unknown (RFC 9110 §10.2.3)
    waits_for: ClassVar[Wait | None] = None  # an operation that meets it waits for this and goes on at its checkpoint

    def __init__(
        self, what: str, details: tuple[dict[str, Any], ...] = (), advice: str = "", kind: Reason | None = None
    ) -> None:
        """``what`` happened, to which object; ``advice``: what to do, as a sentence without capital and full stop."""
        super().__init__(_sentences(what, advice))
        self.what, self.advice = shorten(what), advice
        self.details = details
        if kind is not None:
            self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.details, self.advice, self.kind)

    @property
    def message(self) -> str:
        return _sentences(self.what, self.advice)

    @property
    def status(self) -> Status:
        return Status(self.code, self.what, self.advice, self.kind)

    def within(self, context: str) -> Self:
        """The same error with a context in front: ``context: what``. The advice stays at the end."""
        return type(self)(f"{context}: {self.what}", self.details, self.advice, self.kind)


class Cancelled(StatusError):
    code, http = Code.CANCELLED, 499


class Unknown(StatusError):
    code, http = Code.UNKNOWN, 500


class InvalidArgument(StatusError):
    code, http = Code.INVALID_ARGUMENT, 400


class DeadlineExceeded(StatusError):
    code, http = Code.DEADLINE_EXCEEDED, 504


class NotFound(StatusError):
    code, http = Code.NOT_FOUND, 404


class AlreadyExists(StatusError):
    code, http = Code.ALREADY_EXISTS, 409


class PermissionDenied(StatusError):
    code, http = Code.PERMISSION_DENIED, 403


class ResourceExhausted(StatusError):
    code, http = Code.RESOURCE_EXHAUSTED, 429


class FailedPrecondition(StatusError):
    code, http = Code.FAILED_PRECONDITION, 400


class UnsuitableForm(FailedPrecondition):
    """A media type or transfer syntax that cannot hold these pixels; another one may."""

    kind = Reason.CANNOT_BE_CONVERTED


class CrashingPixels(FailedPrecondition):
    """A worker process died while it decoded an instance: every other form that is decoded may end another one."""

    kind = Reason.DECODER_CRASHED


class Aborted(StatusError):
    code, http = Code.ABORTED, 409


class TakenOver(Aborted):
    """The operation no longer belongs to this runner: another one has claimed it, or it was deleted."""


class Replaced(Aborted):
    """An instance was replaced after its row was read: what that row says is not true of its bytes now."""

    kind = Reason.INSTANCE_CHANGED


class OutOfRange(StatusError):
    code, http = Code.OUT_OF_RANGE, 400


class NoSuchFrame(OutOfRange):
    """A frame beyond the end (PS3.18 §10.4.3.1). It is no NotFound: that is about the instance or its bytes."""

    code, http = Code.NOT_FOUND, 404


class Unimplemented(StatusError):
    code, http = Code.UNIMPLEMENTED, 501


class MethodNotAllowed(Unimplemented):
    """The resource has other methods, ``allowed`` (RFC 9110 §15.5.6)."""

    http = 405
    allowed: tuple[str, ...] = ()


class UnsupportedMediaType(InvalidArgument):
    """A body of another media type than those that can be stored (RFC 9110 §15.5.16)."""

    http = 415


class Internal(StatusError):
    code, http = Code.INTERNAL, 500


class Unavailable(StatusError):
    code, http = Code.UNAVAILABLE, 503


class Interrupted(Unavailable):
    """A part of this server is temporarily unavailable: an operation waits and continues at its checkpoint."""

    waits_for, kind = Wait.INDEX, Reason.INDEX_AWAY


class Expelled(Interrupted):
    """This server was taken for dead by those that share its index: it may write nothing any more."""


class MustBeRestored(Unavailable):
    """The bytes of an instance are in an archive of the object storage, where nobody can read them before somebody
    restores them."""

    kind = Reason.IN_ARCHIVE


class DiskAway(Interrupted):
    """A disk of this server's own is not mounted, or cannot be written."""

    waits_for, kind = Wait.DISK, Reason.DISK_AWAY


class BucketAway(Interrupted):
    """The bucket of an operation is not the one it began with: it is not mounted, or another one is."""

    waits_for, kind = Wait.BUCKET, Reason.BUCKET_AWAY


class NoWorker(Interrupted):
    """No worker process can be started, or several in a row have given no sign of life."""

    waits_for, kind = Wait.WORKER, Reason.NO_WORKER


class NoRoom(ResourceExhausted):
    """A disk is full."""

    waits_for, kind = Wait.ROOM, Reason.NO_ROOM


class NotAcceptable(InvalidArgument):
    """None of the media types and transfer syntaxes that the client accepts can be produced (RFC 9110 §15.5.7)."""

    http = 406


class PreconditionFailed(FailedPrecondition):
    """A condition that the client has set does not hold (RFC 9110 §15.5.13)."""

    http = 412


class BrokenBody(InvalidArgument):
    """The body of a request is not what its headers declare: nothing after the fault can be read."""


class DataLoss(StatusError):
    code, http = Code.DATA_LOSS, 500


class Unreadable(DataLoss):
    """The disk cannot read stored bytes now. They may be readable later, so nothing may take their place."""

    kind = Reason.OBJECT_UNREADABLE


class Spoilt(DataLoss):
    """The bytes that came are not those that the object storage has: read again, they may be."""

    kind = Reason.CHECKSUM_MISMATCH


class Unauthenticated(StatusError):
    code, http = Code.UNAUTHENTICATED, 401


Late = TypeVar("Late", bound=StatusError)


def retry_later(error: Late, seconds: int) -> Late:
    """Set the seconds after which to try again: the ``Retry-After`` header. Returns the error."""
    error.retry_after = seconds
    return error


def invalid_field(field: str, description: str) -> InvalidArgument:
    """An ``InvalidArgument`` that names the request field, with a ``google.rpc.BadRequest`` detail."""
    field, description = shorten(field, _MAX_FIELD), shorten(description)
    detail = {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": field, "description": description}],
    }
    return InvalidArgument(f"{field}: {description}" if field else description, (detail,))
