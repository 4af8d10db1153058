"""The server's own log: as text and as JSON, requests, levels, operations with what came of them."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from gantry.server_log import JsonFormatter
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import GantryServer


def start(home: Path, **env: str) -> GantryServer:
    settings = {f"GANTRY_{name.upper()}": value for name, value in env.items()}
    return GantryServer(home / "data", home / "buckets", env=settings)


def test_an_operation_says_what_came_of_it(gantry: Gantry) -> None:
    gantry.put(gantry.bucket, "logged/a.dcm", make_instance())
    gantry.put(gantry.bucket, "logged/b.dcm", b"not DICOM")
    operation = gantry.import_("logged/**")
    log = gantry.server.log_text()
    what = f"ImportDicomData of gs://{gantry.bucket}/logged/**"
    assert f"operation {operation['name']}: attempt 1 begins; {what}\n" in log
    (end,) = [line for line in log.splitlines() if f"{operation['name']}: done in " in line]
    assert end.endswith(f"bytes; {what}") and ": 1 succeeded, 1 failed, " in end


@pytest.mark.slow
def test_every_line_is_json_and_requests_have_one_without_their_query(tmp_path: Path) -> None:
    server = start(tmp_path, log_json="true", log_requests="true", port_fiel="x")
    server.request("GET", "v1/projects/p/locations?quotaUser=Yamada")
    server.stop()
    lines = [line for line in server.log_text().splitlines() if line.startswith("{")]
    found = [json.loads(line) for line in lines]
    (request,) = [
        each["httpRequest"] for each in found if each.get("httpRequest", {}).get("requestUrl", "").startswith("/v1")
    ]
    assert (request["requestMethod"], request["requestUrl"], request["status"]) == (
        "GET",
        "/v1/projects/p/locations",
        200,
    )
    assert int(request["responseSize"]) > 100 and request["remoteIp"] == "127.0.0.1"
    assert "Yamada" not in server.log_text()
    assert {"timestamp", "severity", "message", "logger"} <= found[0].keys()
    assert any("GANTRY_PORT_FIEL is no setting" in each["message"] for each in found)


@pytest.mark.slow
def test_less_severe_lines_are_left_out(tmp_path: Path) -> None:
    server = start(tmp_path, log_level="warning", no_such="x")
    server.stop()
    assert " INFO " not in server.log_text() and " WARNING the variable GANTRY_NO_SUCH" in server.log_text()


def test_an_exception_is_one_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        record = logging.LogRecord("gantry", logging.ERROR, "", 0, "it %s", ("failed",), (type(error), error, None))
    line = JsonFormatter().format(record)
    assert "\n" not in line and json.loads(line)["message"] == "it failed"
    assert "ValueError: two" in json.loads(line)["exception"]
