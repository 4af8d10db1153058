"""The client of BigQuery, one for each process and project."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import google.auth
from google.api_core.exceptions import Conflict, NotFound
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from gantry.beats import CALL_SECONDS, beat
from gantry.errors import BucketAway, FailedPrecondition
from gantry.storage.bigquery.places import BigQueryPlace

_SCOPES = ("https://www.googleapis.com/auth/bigquery",)
TIMES: dict[str, Any] = {"timeout": 30.0, "retry": DEFAULT_RETRY.with_deadline(20.0)}
"""Of each request: less than a worker may be silent (``beats.CALL_SECONDS``); the operation waits and tries again."""
_LOOK_SECONDS = 0.5
_TRIES = 5  # of a job that BigQuery could not finish, by no fault of the rows
_AGAIN = (
    "backendError",
    "internalError",
    "jobBackendError",
    "jobInternalError",
    "rateLimitExceeded",
    "tableUnavailable",
)
_MOST_SAID = 500


@lru_cache(8)
def _open(_process: int, place: BigQueryPlace, project: str) -> bigquery.Client:
    options = {"api_endpoint": place.endpoint} if place.endpoint else None
    return bigquery.Client(
        project=place.billing_project or project,
        credentials=_find_credentials(place),
        client_options=options,
        location=place.location or None,
    )


def open_client(place: BigQueryPlace, project: str) -> bigquery.Client:
    """Raises google.auth's exceptions where there are no credentials. Makes no request."""
    return _open(os.getpid(), place, project)


def _find_credentials(place: BigQueryPlace) -> Any:
    if place.is_emulator:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    try:
        if place.credentials_file:
            return google.auth.load_credentials_from_file(place.credentials_file, scopes=_SCOPES)[0]  # type: ignore[no-untyped-call]
        return google.auth.default(scopes=_SCOPES)[0]
    except (OSError, ValueError, TypeError, AttributeError, KeyError):  # of any file; their texts have paths
        raise DefaultCredentialsError("a file of credentials that cannot be read") from None  # type: ignore[no-untyped-call]


def find_location(client: bigquery.Client, dataset: str) -> str:
    """Where jobs on a dataset run. Outside of the multi-regions US and EU a job is only found by its location, too
    (BigQuery, ``jobs.get``)."""
    return client.location or str(client.get_dataset(dataset, **TIMES).location)


def run_job(
    client: bigquery.Client,
    what: str,
    name: str,
    location: str,
    submit: Callable[[str], Any],
    seconds: float | None = None,
    is_final: bool = True,
) -> Any:
    """A job that is carried out once, however often it is asked for: its ``name`` is taken. Returns it when it is
    done. Raises what the client raises, FailedPrecondition for a job that fails, BucketAway, also for one that takes
    more than so many ``seconds``: it may be asked for again. Then what has failed before is the answer where that
    ``is_final``; else it is tried once more: what was missing may be there by now."""
    tries = 0
    number, job = _find_last(client, name, location)
    while True:
        if job is None:
            if tries == _TRIES:
                raise BucketAway(f"{what}: BigQuery does not finish a job", advice="the operation goes on by itself")
            tries += 1
            job = _submit(client, f"{name}_{number}", location, submit)
        if (error := _wait(job, what, seconds).error_result) is None:
            return job
        if error.get("reason") not in _AGAIN and (is_final or tries):
            said = str(error.get("message", ""))[:_MOST_SAID]
            raise FailedPrecondition(f"{what}: BigQuery could not finish a job: {said}")
        number, job = number + 1, None


def find_done(client: bigquery.Client, what: str, name: str, location: str, seconds: float | None = None) -> bool:
    """Whether a job that ``run_job`` was asked for has succeeded; one that still runs is waited for, so
    many ``seconds`` at most. Raises what ``run_job`` does."""
    _, job = _find_last(client, name, location)
    return job is not None and _wait(job, what, seconds).error_result is None


def _find_last(client: bigquery.Client, name: str, location: str) -> tuple[int, Any]:
    """The last job of a name and its number, or None and 0. A table that cannot be written for months has many that
    have failed: their numbers have no gap."""
    jobs = {0: _find(client, f"{name}_0", location)}
    if jobs[0] is None:
        return 0, None
    last, beyond = 0, 1
    while jobs.setdefault(beyond, _find(client, f"{name}_{beyond}", location)) is not None:
        last, beyond = beyond, 2 * beyond
    while beyond - last > 1:
        between = (last + beyond) // 2
        jobs[between] = _find(client, f"{name}_{between}", location)
        last, beyond = (last, between) if jobs[between] is None else (between, beyond)
    return last, jobs[last]


def _find(client: bigquery.Client, name: str, location: str) -> Any:
    try:
        return client.get_job(name, location=location, **TIMES)
    except NotFound:
        return None


def _submit(client: bigquery.Client, name: str, location: str, submit: Callable[[str], Any]) -> Any:
    try:
        return submit(name)
    except Conflict:  # an answer was lost, and the request was sent again
        return client.get_job(name, location=location, **TIMES)


def _wait(job: Any, what: str, seconds: float | None) -> Any:
    until = None if seconds is None else time.monotonic() + seconds
    while not job.done(**TIMES):
        if until is not None and time.monotonic() > until:
            raise BucketAway(f"{what}: BigQuery has not finished a job yet", advice="it is asked for again")
        beat(CALL_SECONDS)
        time.sleep(_LOOK_SECONDS)
    return job
