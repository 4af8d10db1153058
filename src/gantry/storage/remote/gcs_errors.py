"""What Google Cloud Storage says of a request that failed ("HTTP status and error codes for JSON")."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError

from gantry.errors import BucketAway, StatusError, Unavailable
from gantry.storage.remote.errors import Trouble, describe_trouble, miss_credentials
from gantry.storage.remote.place import RemotePlace

_OVERLOAD = {"rateLimitExceeded", "userRateLimitExceeded"}
"""Reasons for fewer requests, some of which come with 403."""
_LOCKED = {"retentionPolicyNotMet", "objectUnderActiveHold", "retentionExpired"}
"""Reasons for which nobody may delete or replace an object: no right would help."""
_OF_TOKENS = re.compile(
    r"\b(?:invalid_[a-z]+|unauthorized_client|access_denied|account_not_found): [^'\"\\\\{}]{1,200}"
)
"""What the service of tokens says in google.auth's exception (RFC 6749 §5.2): its code, and a sentence."""
_SPOILT = re.compile(r"(?i)provided (?:crc32c|md5 hash)\b.* match calculated")
"""Of bytes that were changed on the way: the reason is ``invalid``, as of what no attempt will mend."""
_BUCKET_GONE = "bucket does not exist"


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.said)
        self.trouble = trouble


def read_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Trouble:
    """Errors of the JSON API are JSON; those of bytes are often plain text."""
    reason, message = "", ""
    with suppress(ValueError, KeyError, TypeError, AttributeError, IndexError):
        about: Any = json.loads(body)["error"]
        message = str(about.get("message", ""))
        reason = str((about.get("errors") or [{}])[0].get("reason", ""))
    if not message and headers.get("content-type", "").startswith("text/"):
        message = " ".join(body[:1000].decode("utf-8", "replace").split())
    message = "" if "<" in message else message
    if reason in _OVERLOAD:
        status = 429
    elif reason in _LOCKED:
        status = 400
    if status == 408:
        reason = "RequestTimeout"
    elif status == 400 and _SPOILT.search(message):
        reason = "BadDigest"
    if status == 404 and _BUCKET_GONE in message:
        reason = "NoSuchBucket"
    return Trouble(status, reason, message, {name.lower(): value for name, value in headers.items()})


def translate_refusal(
    trouble: Trouble, place: RemotePlace, right: str, what: str = "", identity: str = ""
) -> StatusError:
    """Nobody's credentials are refused where nobody has sent any: then the right is missing."""
    if trouble.status == 401 and place.anonymous:
        trouble = Trouble(403, trouble.code, trouble.message, trouble.headers)
    return describe_trouble(trouble, place, right, what, identity or ("anonymous" if place.anonymous else ""))


def translate_credentials(error: GoogleAuthError, place: RemotePlace, identity: str = "") -> StatusError:
    """google.auth's exceptions name files and addresses, which are not told."""
    if isinstance(error, DefaultCredentialsError):
        return miss_credentials(place)
    who = f" ({identity})" if identity else ""
    if isinstance(error, RefreshError) and not error.retryable:
        found = _OF_TOKENS.search(str(error))
        said = Trouble(401, message=found[0] if found else "").said
        clock = "; is the clock of this machine right?" if "iat" in said else ""
        return BucketAway(
            f"bucket {place.address}: the credentials{who} are refused: {said}{clock}", advice="renew them"
        )
    return Unavailable(f"Google gave no token for the credentials{who} of bucket {place.address}", advice="try again")
