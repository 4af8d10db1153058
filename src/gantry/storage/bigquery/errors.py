"""What refusals and silence of BigQuery mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from google.api_core.exceptions import (
    BadRequest,
    ClientError,
    Forbidden,
    GoogleAPICallError,
    RetryError,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from google.api_core.exceptions import (
    NotFound as Missing,
)
from google.auth.exceptions import GoogleAuthError, TransportError
from requests.exceptions import RequestException

from gantry.errors import BucketAway, FailedPrecondition, NotFound, PermissionDenied, StatusError

ADVICE = (
    "give the server's identity the roles roles/bigquery.dataEditor on the dataset and roles/bigquery.jobUser on the "
    "project"
)
_MOST_SAID = 500  # characters of what BigQuery says
_RATE = ("rateLimitExceeded", "quotaExceeded", "backendError", "jobBackendError", "internalError")


@contextmanager
def translated(what: str) -> Iterator[None]:
    """``what`` names the table. Raises BucketAway where it is worth trying again, else what ends the operation."""
    try:
        yield
    except (Forbidden, Unauthorized) as error:
        if _reason(error) in _RATE:
            raise _away(what, "asks for fewer requests") from None
        raise PermissionDenied(f"{what}: {_said(error)}", advice=ADVICE) from None
    except Missing as error:
        raise NotFound(f"{what}: {_said(error)}", advice="create the dataset first; the table is made then") from None
    except (TooManyRequests, ServerError, RetryError, RequestException, ConnectionError, TimeoutError):
        raise _away(what, "does not answer, or asks to come again") from None
    except BadRequest as error:
        raise FailedPrecondition(f"{what}: BigQuery refuses it: {_said(error)}") from None
    except ClientError as error:
        raise FailedPrecondition(f"{what}: BigQuery refuses it: {_said(error)}") from None
    except GoogleAuthError as error:
        if error.retryable or isinstance(error, TransportError):  # the service that gives tokens is away
            raise _away(what, "cannot be asked: who gives the tokens of Google does not answer") from None
        raise PermissionDenied(
            f"{what}: there are no credentials of Google that can be used",
            advice="set credentials_file of its entry in bigquery_projects, or GOOGLE_APPLICATION_CREDENTIALS",
        ) from None


def _away(what: str, why: str) -> StatusError:
    return BucketAway(f"{what}: BigQuery {why}", advice="it is tried again")


def _said(error: GoogleAPICallError) -> str:
    """BigQuery's own sentence, without the address that was asked."""
    found = [each.get("message", "") for each in error.errors if isinstance(each, dict)]
    return (found[0] if found else "it says no reason")[:_MOST_SAID]


def _reason(error: GoogleAPICallError) -> str:
    found = [each.get("reason", "") for each in error.errors if isinstance(each, dict)]
    return found[0] if found else ""
