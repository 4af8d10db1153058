"""The only place where exceptions of the clients of object storage become errors of this program.

What the provider itself said (its code and its sentence) is kept, shortened. Addresses are not: they may hold a
signature or a token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import unescape

from gantry.errors import (
    Aborted,
    BucketAway,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    StatusError,
    Unavailable,
    Unimplemented,
)
from gantry.reasons import Reason
from gantry.storage.remote.place import RemotePlace

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE, _MESSAGE = re.compile(r"<Code>([^<]{1,100})</Code>"), re.compile(r"<Message>([^<]{1,1000})</Message>")
_MOMENT = re.compile(r"<ServerTime>([^<]{1,40})</ServerTime>")
_REGION_SAID = re.compile(r"<Region>([^<]{1,63})</Region>")
_REGION = re.compile(r"[A-Za-z0-9-]{1,63}")
_BARE_REDIRECT = re.compile("Received redirect without LOCATION")
"""How obstore says an answer with 301 and no more: it shows neither its headers nor its body."""
_SILENCES = (
    (
        re.compile("(?i)certificate"),
        "its TLS certificate is not trusted; ca_file can name its authority",
    ),
    (re.compile("(?i)proxy"), "the proxy that the environment names does not let it through"),
    (re.compile("(?i)refused"), "the connection was refused"),
    (re.compile("(?i)timed ?out|timeout"), "there was nothing to read in time"),
    (re.compile("dns error|Name or service not known|name resolution"), "no address is known for its name"),
)
"""What the clients say of a connection, and what we say."""
_SECRET = re.compile(r"(?i)(?:AKIA|ASIA)[A-Z0-9]{12,}|https?://\S+|[A-Za-z0-9+/=_-]{40,}")
_MOST_PATIENCE = 60.0  # seconds that a provider may ask for between two attempts
_MOST = 300  # characters of what the provider said

REFUSED = {
    *("ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken", "InvalidClientTokenId"),
    *("SignatureDoesNotMatch", "TokenRefreshRequired", "AuthorizationHeaderMalformed", "NotSignedUp"),
    *("RequestExpired", "AccountProblem", "AllAccessDisabled", "InvalidSecurity", "UnrecognizedClientException"),
    *("AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation", "AccountIsDisabled"),
}
"""Codes that are about the credentials: every other object would fail in the same way."""
SKEWED = {"RequestTimeTooSkewed", "RequestInTheFuture"}
_SKEWED_SECONDS = 15 * 60
"""Azure calls it AuthenticationFailed, as it does everything that is wrong with a signature."""
GONE = {"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled"}
ARCHIVED = {"InvalidObjectState", "BlobArchived", "BlobBeingRehydrated"}
LOCKED = {"LeaseIdMissing", "LeaseIdMismatchWithBlobOperation", "LeaseLost"}
"""Azure answers 412 as it does for an object that was changed."""
MIXED = {"InvalidBlobOrBlock"}
"""Of all blocks of a blob that are not committed the names are equally long."""
OVERTAKEN = {"InvalidBlockList"}
"""Blocks that were sent and are gone: Azure drops those of everybody when one commits."""
EXISTING = {"BlobAlreadyExists"}
"""Azure answers 409 where it is asked to write only what is not there."""
ELSEWHERE = {"PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"}
MIS_SIGNED = "AuthorizationHeaderMalformed"
"""For the region of another bucket, which the answer then names, or in another way that is about the credentials."""
_REDIRECTS = (301, 302, 303, 307, 308)
"""Regions are of Amazon. Nobody else is followed anywhere: who asks is in every request."""
OVERLOAD = {"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded", "ServerBusy"}
MISSING = {"NotImplemented", "MethodNotAllowed"}
PASSING = {
    *("InternalError", "RequestTimeout", "OperationAborted", "OperationTimedOut", "Md5Mismatch", "BadDigest"),
    "ConditionalRequestConflict",  # of S3: another request wrote the object at the same time
}


class Archived(FailedPrecondition):
    """The object lies in an archive tier: it can be read some time after somebody has restored it."""

    kind = Reason.IN_ARCHIVE


class Overloaded(Unavailable):
    """The provider asks for fewer requests; ``after`` is how many seconds it wants to be left alone, 0 if it does not
    say."""

    def __init__(self, what: str, after: float = 0) -> None:
        super().__init__(what, advice="try again")
        self.after = after


class Refusal(Exception):
    """An answer that is an error, of a client of our own, in the shape of botocore's. Names of headers are in small
    letters."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str]) -> None:
        super().__init__(code)
        meta = {"HTTPStatusCode": status, "HTTPHeaders": headers}
        self.response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": meta}


@dataclass(frozen=True, slots=True)
class Trouble:
    """A request that failed: HTTP status (0: no answer), the provider's code and sentence, and its headers.

    ``moment`` is the provider's time; ``silence`` says why there was no answer, as far as it is known; ``region`` is
    that of the bucket, where the provider says it."""

    status: int = 0
    code: str = ""
    message: str = ""
    headers: Mapping[str, str] | None = None
    moment: str = ""
    silence: str = ""
    region: str = ""

    @property
    def retry_after(self) -> float:
        """Seconds of the header Retry-After, which may be a moment (RFC 9110 §10.2.3); 0 without it."""
        text = (self.headers or {}).get("retry-after", "")
        if text.isascii() and text.isdigit():
            return min(float(text), _MOST_PATIENCE)
        then = _read_moment(text)
        return min(max(0.0, (then - datetime.now(UTC)).total_seconds()), _MOST_PATIENCE) if then is not None else 0.0

    @property
    def said(self) -> str:
        """What the provider said, fit to be shown."""
        text = ": ".join(part for part in (self.code, self.message) if part)
        return _SECRET.sub("…", text)[:_MOST] or (
            f"HTTP status {self.status}" if self.status else self._describe_silence()
        )

    def _describe_silence(self) -> str:
        return f"no answer came ({self.silence})" if self.silence else "no answer came"


def read_trouble(error: Exception) -> Trouble:
    """What an exception of obstore or botocore says."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's ClientError
        about, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
        headers = meta.get("HTTPHeaders")
        moment = about.get("ServerTime") or (headers or {}).get("date", "")
        code = str(about.get("Code", ""))
        status = int(meta.get("HTTPStatusCode", 0))
        return Trouble(
            status,
            "" if code.isdigit() else code,
            str(about.get("Message", "")),
            headers,
            str(moment),
            region=str((headers or {}).get("x-amz-bucket-region") or about.get("Region", "")),
        )
    status_found = _STATUS.search(str(error))
    if status_found is None and _BARE_REDIRECT.search(str(error)):
        return Trouble(301)
    if status_found is None:
        return Trouble(silence=_find_silence(error))
    return Trouble(
        int(status_found[1]),
        _read(_CODE.search(str(error))),
        unescape(_read(_MESSAGE.search(str(error)))),
        moment=_read(_MOMENT.search(str(error))),
        region=_read(_REGION_SAID.search(str(error))),
    )


def _read(match: re.Match[str] | None) -> str:
    return match[1] if match else ""


def _find_silence(error: Exception) -> str:
    """Why there was no answer: obstore says it in its own text, botocore in that of an exception inside."""
    inner = str(getattr(error, "kwargs", {}).get("error", ""))
    found = (words for each, words in _SILENCES if each.search(str(error)) or each.search(inner))
    return next(found, "")


def is_of_client(error: Exception) -> bool:
    """Whether a client of object storage has raised it: every other exception is a fault of this program."""
    return isinstance(error, OSError | ParseError | Refusal) or type(error).__module__.partition(".")[0] in (
        "botocore",
        "obstore",
        "urllib3",
    )


def translate(error: Exception, place: RemotePlace, right: str, what: str = "", identity: str = "") -> StatusError:
    """``right`` is what the request needs, as the provider names it; ``what`` is the object, "" for the bucket;
    ``identity`` is who asks, where it is no key of the place."""
    if _is_without_credentials(error):
        return miss_credentials(place)
    return describe_trouble(read_trouble(error), place, right, what, identity or _name_key(place))


def miss_credentials(place: RemotePlace) -> BucketAway:
    return BucketAway(
        f"bucket {place.address}: the server has no credentials for it", advice="name them in the settings"
    )


def describe_trouble(
    trouble: Trouble, place: RemotePlace, right: str, what: str = "", identity: str = ""
) -> StatusError:
    """``identity`` is who asked, as far as it is known."""
    bucket, who = f"bucket {place.address}", f" ({identity})" if identity else ""
    if _is_skewed(trouble):
        return BucketAway(f"{bucket}: {_describe_clock(trouble)}", advice="set the clock of this machine")
    if _is_elsewhere(trouble, place):
        return describe_region(place, trouble.region)
    if trouble.status == 401 or trouble.code in REFUSED:
        return BucketAway(f"{bucket}: the credentials{who} are refused: {trouble.said}", advice="renew them")
    if trouble.code in GONE:
        return BucketAway(f"{bucket} is not there any more")
    if trouble.code in ARCHIVED:
        return Archived(
            "the object is archived: it cannot be read before it is restored", advice="restore it and import it again"
        )
    if trouble.status in _REDIRECTS and place.provider != "s3":
        return FailedPrecondition(f"{bucket}: its endpoint sends its requests elsewhere", advice="see to its endpoint")
    if trouble.status == 403:
        return PermissionDenied(
            f"this server{who} does not have {right} on {bucket}: {trouble.said}",
            advice="the owner of the bucket can grant it",
            kind=Reason.NO_ACCESS,
        )
    return _translate_rest(trouble, what)


def _translate_rest(trouble: Trouble, what: str) -> StatusError:
    if trouble.status == 404:
        return NotFound("there is no object of this name" if what else trouble.said, kind=Reason.OBJECT_GONE)
    if trouble.status in (412, 416) and trouble.code not in LOCKED:
        return Aborted(
            "the object was changed since it was listed", advice="import it again", kind=Reason.OBJECT_CHANGED
        )
    if trouble.code in EXISTING:
        return Aborted("there is an object of this name already")
    if trouble.code in MIXED:
        return FailedPrecondition(
            "another program has begun to write the object, in blocks that do not fit ours",
            advice="use another name, or wait: Azure removes such blocks after a week",
        )
    if trouble.code in OVERTAKEN:
        return Aborted("the object was written by somebody else meanwhile", advice="try again")
    if trouble.status in (405, 501) or trouble.code in MISSING:
        return Unimplemented(f"the object storage cannot do it: {trouble.said}")
    if trouble.status in (429, 503) or trouble.code in OVERLOAD:
        return Overloaded(f"the object storage asks for fewer requests: {trouble.said}", trouble.retry_after)
    if trouble.status == 0 or trouble.status >= 500 or trouble.code in PASSING:
        return Unavailable(f"the object storage could not do it: {trouble.said}", advice="try again")
    return FailedPrecondition(f"the object storage refused it: {trouble.said}")


def _is_without_credentials(error: Exception) -> bool:
    """obstore puts the exception of the chain of credentials into one of its own, which has no status."""
    if type(error).__name__ == "UnauthenticatedError":
        return not _STATUS.search(str(error))
    return type(error).__name__ in (
        *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"),
        *("TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError", "ConfigParseError"),
    )


def _name_key(place: RemotePlace) -> str:
    return f"key {place.access_key_id[:4]}…{place.access_key_id[-4:]}" if len(place.access_key_id) > 8 else ""


def _is_skewed(trouble: Trouble) -> bool:
    if trouble.code in SKEWED:
        return True
    there = _read_moment(trouble.moment) if trouble.code == "AuthenticationFailed" else None
    return there is not None and abs((datetime.now(UTC) - there).total_seconds()) > _SKEWED_SECONDS


def _describe_clock(trouble: Trouble) -> str:
    """By how much the clock differs, from the time that the provider says."""
    there = _read_moment(trouble.moment)
    if there is None:
        return "the clock of this machine differs too much from the provider's"
    seconds = (datetime.now(UTC) - there).total_seconds()
    return f"the clock of this machine is {abs(seconds):.0f} seconds {'ahead' if seconds > 0 else 'behind'}"


def _read_moment(text: str) -> datetime | None:
    """Of the header Date (RFC 9110 §5.6.7), or of the XML of an error (RFC 3339)."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = parse(text)
        except ValueError:
            continue
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return None


def _is_elsewhere(trouble: Trouble, place: RemotePlace) -> bool:
    """Whether a bucket of S3 is in another region than requests are signed for."""
    if place.provider != "s3":
        return False
    if trouble.status == 301 or trouble.code in ELSEWHERE:
        return True
    return trouble.code == MIS_SIGNED and trouble.region not in ("", place.region)


def describe_region(place: RemotePlace, region: str) -> FailedPrecondition:
    """Nobody is followed there: the settings say where data go, and requests to another region cost more."""
    known = region if _REGION.fullmatch(region) else ""
    setting = f'write region = "{known}"' if known else "set its region"
    return FailedPrecondition(
        f"bucket {place.address} is in another region{known and f', {known}'}",
        advice=f"{setting} in its entry of remote_buckets",
    )
