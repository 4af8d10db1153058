"""gcloud logging read, unmodified, pointed at a server by CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING (§6.3)."""

from __future__ import annotations

import subprocess

import pytest

from tests.clients.gcloud import Gcloud, Result, found
from tests.support.gantry import Gantry
from tests.support.server import PROJECT

ERRORS = 'resource.type="healthcare_dicom_store" AND severity>=ERROR'


class Logging:
    """``gcloud logging read FILTER``, of this test's dataset."""

    def __init__(self, gantry: Gantry, gcloud: Gcloud) -> None:
        self.mine = f'resource.labels.dataset_id="{gantry.dataset_id}"'
        self.environ = gcloud.environ | {"CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING": f"{gantry.server.url}/"}

    def read(self, filter: str, *flags: str) -> Result:
        command = [found(), "logging", "read", f"{filter} AND {self.mine}", f"--project={PROJECT}", *flags]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=120, check=False)
        return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def logs(gantry: Gantry, gcloud: Gcloud) -> Logging:
    for number in range(7):
        gantry.put(gantry.bucket, f"{number}.dcm", b"not DICOM")
    gantry.import_("*")
    return Logging(gantry, gcloud)


@pytest.mark.slow
def test_the_newest_errors_as_json(gantry: Gantry, logs: Logging) -> None:
    entries = logs.read(ERRORS, "--limit=5", "--format=json").json
    assert [item["jsonPayload"]["source"] for item in entries] == [
        f"gs://{gantry.bucket}/{number}.dcm" for number in (6, 5, 4, 3, 2)
    ]
    assert (
        entries
        == gantry.call(
            "POST",
            "v2/entries:list",
            json={"resourceNames": [f"projects/{PROJECT}"], "filter": logs.mine, "orderBy": "timestamp desc"},
        )["entries"][:5]
    )


@pytest.mark.slow
def test_oldest_first_without_a_limit(gantry: Gantry, logs: Logging) -> None:
    result = logs.read(ERRORS, "--order=asc", "--format=value(jsonPayload.source)")
    assert result.out.splitlines() == [f"gs://{gantry.bucket}/{number}.dcm" for number in range(7)], result.err


@pytest.mark.slow
def test_a_time_of_ones_own_and_text(gantry: Gantry, logs: Logging) -> None:
    result = logs.read('timestamp>="2020-01-01T00:00:00Z" AND jsonPayload.source:"/3.dcm"', "--format=json")
    assert [item["jsonPayload"]["error"]["code"] for item in result.json] == [3]
    assert logs.read('timestamp<"2020-01-01T00:00:00Z"', "--format=json").json == []


@pytest.mark.slow
def test_a_filter_that_is_not_understood_is_named(logs: Logging) -> None:
    result = logs.read('textPayload="x"')
    assert result.code == 1
    assert "there is no field 'textPayload'" in result.err
