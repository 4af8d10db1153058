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
from gantry.storage.remote.place import RemotePlace

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE, _MESSAGE = re.compile(r"<Code>([^<]{1,100})</Code>"), re.compile(r"<Message>([^<]{1,1000})</Message>")
_SECRET = re.compile(r"(?i)(?:AKIA|ASIA)[A-Z0-9]{12,}|https?://\S+|[A-Za-z0-9+/=_-]{40,}")
_MOST_PATIENCE = 60.0  # seconds that a provider may ask for between two attempts
_MOST = 300  # characters of what the provider said

REFUSED = {
    *("ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken", "InvalidClientTokenId"),
    *("SignatureDoesNotMatch", "TokenRefreshRequired", "AuthorizationHeaderMalformed", "NotSignedUp"),
    *("RequestExpired", "AccountProblem", "AllAccessDisabled", "InvalidSecurity", "UnrecognizedClientException"),
}
"""Codes that are about the credentials: every other object would fail in the same way."""
SKEWED = {"RequestTimeTooSkewed", "RequestInTheFuture"}
ARCHIVED = {"InvalidObjectState"}
ELSEWHERE = {"PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"}
OVERLOAD = {"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded"}
MISSING = {"NotImplemented", "MethodNotAllowed"}
PASSING = {"InternalError", "RequestTimeout", "OperationAborted"}


class Overloaded(Unavailable):
    """The provider asks for fewer requests; ``after`` is how many seconds it wants to be left alone, 0 if it does not
    say."""

    def __init__(self, what: str, after: float = 0) -> None:
        super().__init__(what, advice="try again")
        self.after = after


@dataclass(frozen=True, slots=True)
class Trouble:
    """A request that failed: HTTP status (0: no answer), the provider's code and sentence, and its headers."""

    status: int = 0
    code: str = ""
    message: str = ""
    headers: Mapping[str, str] | None = None

    @property
    def retry_after(self) -> float:
        """Seconds of the header Retry-After, 0 without it."""
        text = (self.headers or {}).get("retry-after", "")
        return min(float(text), _MOST_PATIENCE) if text.isdigit() else 0.0

    @property
    def said(self) -> str:
        """What the provider said, fit to be shown."""
        text = ": ".join(part for part in (self.code, self.message) if part)
        return _SECRET.sub("…", text)[:_MOST] or (f"HTTP status {self.status}" if self.status else "no answer came")


def read_trouble(error: Exception) -> Trouble:
    """What an exception of obstore or botocore says."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's ClientError
        about = response.get("Error", {})
        meta = response.get("ResponseMetadata", {})
        status = int(meta.get("HTTPStatusCode", 0))
        code = str(about.get("Code", ""))
        return Trouble(status, "" if code.isdigit() else code, str(about.get("Message", "")), meta.get("HTTPHeaders"))
    status_found, code_found = _STATUS.search(str(error)), _CODE.search(str(error))
    message_found = _MESSAGE.search(str(error))
    return Trouble(
        int(status_found[1]) if status_found else 0,
        code_found[1] if code_found else "",
        message_found[1] if message_found else "",
    )


def is_of_client(error: Exception) -> bool:
    """Whether a client of object storage has raised it: every other exception is a fault of this program."""
    return isinstance(error, OSError | ParseError) or type(error).__module__.partition(".")[0] in (
        "botocore",
        "obstore",
        "urllib3",
    )


def translate(error: Exception, place: RemotePlace, right: str, what: str = "") -> StatusError:
    """``right`` is what the request needs, as the provider names it; ``what`` is the object, "" for the bucket."""
    trouble = read_trouble(error)
    bucket = f"bucket {place.address}"
    if _is_without_credentials(error):
        return BucketAway(f"{bucket}: the server has no credentials for it", advice="name them in the settings")
    if trouble.code in SKEWED:
        return BucketAway(f"{bucket}: {_describe_clock(trouble)}", advice="set the clock of this machine")
    if trouble.status == 401 or trouble.code in REFUSED:
        return BucketAway(
            f"{bucket}: the credentials{_name_identity(place)} are refused: {trouble.said}", advice="renew them"
        )
    if trouble.code == "NoSuchBucket":
        return BucketAway(f"{bucket} is not there any more")
    if trouble.code in ARCHIVED:
        return FailedPrecondition(
            "the object is archived: it cannot be read before it is restored", advice="restore it and import it again"
        )
    if trouble.status == 301 or trouble.code in ELSEWHERE:
        return FailedPrecondition(f"{bucket} is in another region{_find_region(trouble)}", advice="set its region")
    if trouble.status == 403:
        return PermissionDenied(
            f"this server{_name_identity(place)} does not have {right} on {bucket}: {trouble.said}",
            advice="the owner of the bucket can grant it",
        )
    return _translate_rest(trouble, what)


def _translate_rest(trouble: Trouble, what: str) -> StatusError:
    if trouble.status == 404:
        return NotFound("there is no object of this name" if what else trouble.said)
    if trouble.status in (412, 416):
        return Aborted("the object was changed since it was listed", advice="import it again")
    if trouble.status in (405, 501) or trouble.code in MISSING:
        return Unimplemented(f"the object storage cannot do it: {trouble.said}")
    if trouble.status in (429, 503) or trouble.code in OVERLOAD:
        return Overloaded(f"the object storage asks for fewer requests: {trouble.said}", trouble.retry_after)
    if trouble.status == 0 or trouble.status >= 500 or trouble.code in PASSING:
        return Unavailable(f"the object storage could not do it: {trouble.said}", advice="try again")
    return FailedPrecondition(f"the object storage refused it: {trouble.said}")


def _is_without_credentials(error: Exception) -> bool:
    return type(error).__name__ in (
        *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"),
        *("TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError"),
    )


def _name_identity(place: RemotePlace) -> str:
    return f" (key {place.access_key_id[:4]}…{place.access_key_id[-4:]})" if len(place.access_key_id) > 8 else ""


def _describe_clock(trouble: Trouble) -> str:
    """By how much the clock differs, from the Date header of the answer."""
    text = (trouble.headers or {}).get("date", "")
    try:
        seconds = (datetime.now(UTC) - parsedate_to_datetime(text)).total_seconds()
    except (TypeError, ValueError):
        return "the clock of this machine differs too much from the provider's"
    return f"the clock of this machine is {abs(seconds):.0f} seconds {'ahead' if seconds > 0 else 'behind'}"


def _find_region(trouble: Trouble) -> str:
    region = (trouble.headers or {}).get("x-amz-bucket-region", "")
    return f", {region}" if region else ""
