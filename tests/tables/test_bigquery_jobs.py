"""What the emulator of BigQuery cannot show: jobs are carried out once, wherever they are, also where the service
finishes none for a while, and credentials are waited for or refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gantry.errors import BucketAway, FailedPrecondition, PermissionDenied

pytest.importorskip("google.cloud.bigquery")
from google.api_core.exceptions import NotFound
from google.auth.exceptions import RefreshError, TransportError

from gantry.storage.bigquery.clients import find_done, find_location, open_client, run_job
from gantry.storage.bigquery.errors import translated
from gantry.storage.bigquery.places import BigQueryPlace

PLACE = "europe-southwest1"


class Jobs:
    """What the emulator cannot do: jobs that fail by ``reasons``, and that are found with their location alone."""

    location = None

    def __init__(self, *reasons: str) -> None:
        self.reasons, self.jobs = list(reasons), {}  # type: ignore[var-annotated]

    def get_dataset(self, _name: str, **_: Any) -> Any:
        return SimpleNamespace(location=PLACE)

    def get_job(self, name: str, location: str | None = None, **_: Any) -> Any:
        if (location, name) not in self.jobs:
            raise NotFound("Not found: Job")  # type: ignore[no-untyped-call]
        return self.jobs[location, name]

    def submit(self, name: str) -> Any:
        error = {"reason": self.reasons.pop(0)} if self.reasons else None
        self.jobs[PLACE, name] = job = SimpleNamespace(error_result=error, done=lambda **_: True)
        return job

    def run(self) -> Any:
        client: Any = self
        return run_job(client, "bq://p.d.t", "job", find_location(client, "p.d"), self.submit)

    def is_done(self) -> bool:
        client: Any = self
        return find_done(client, "bq://p.d.t", "job", PLACE)


def test_a_job_is_found_where_its_dataset_is_and_not_made_again() -> None:
    jobs = Jobs()
    assert not jobs.is_done()
    assert jobs.run() is jobs.run()
    assert jobs.is_done()
    assert len(jobs.jobs) == 1


def test_a_service_that_finishes_no_job_for_a_while_is_asked_again_later() -> None:
    jobs = Jobs(*["backendError"] * 7)
    with pytest.raises(BucketAway):
        jobs.run()
    assert not jobs.is_done()
    assert jobs.run().error_result is None
    assert jobs.is_done()


def test_what_a_job_refuses_is_not_tried_again() -> None:
    jobs = Jobs("backendError", "invalid")
    for _ in range(2):
        with pytest.raises(FailedPrecondition, match="could not finish a job"):
            jobs.run()
    assert len(jobs.jobs) == 2
    assert not jobs.is_done()


@pytest.mark.parametrize("error", [TransportError("x"), RefreshError("x", retryable=True)])  # type: ignore[no-untyped-call]
def test_tokens_that_nobody_gives_for_a_while_are_waited_for(error: Exception) -> None:
    with pytest.raises(BucketAway, match="does not answer"), translated("bq://p.d.t"):
        raise error


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"type": "service_account", "private_key": "x"}', None])
def test_credentials_that_cannot_be_read_are_said_without_their_path(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "key.json"
    path.mkdir() if text is None else path.write_text(text)
    with pytest.raises(PermissionDenied, match="no credentials of Google") as found, translated("bq://p.d.t"):
        open_client(BigQueryPlace("p", credentials_file=str(path)), "p")
    assert str(tmp_path) not in str(found.value)
