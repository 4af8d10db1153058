"""An emulator: reached by any name, filled with seeds, led back to them by a reset; and no other server does that."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gantry.cli import run as run_here
from gantry.errors import InvalidArgument
from gantry.settings.loading import EmulatorSettings, load_settings
from tests.emulator.running import STORE, Emulator
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry

DATASETS = "v1/projects/gantry/locations/us-central1/datasets"
DICOM = {"content-type": "application/dicom"}


def names(emulator: Emulator) -> list[str]:
    return [each["name"].rpartition("/")[2] for each in emulator.call("GET", DATASETS).get("datasets", ())]


def buckets(emulator: Emulator) -> Path:
    (found,) = (emulator.home / "tmp").glob("gantry-emulator-*/data/buckets")
    return found


def test_it_says_loudly_what_it_is(running: Emulator) -> None:
    said = running.log.read_text()
    assert f"Gantry is ready at {running.url};" in said
    assert "NO PATIENT DATA" in said and "authenticates nobody" in said


@pytest.mark.parametrize("host", ["gantry:8080", "emulator", "healthcare.example.org:443", "[::1]:9", "10.1.2.3"])
def test_any_name_is_its_name(emulator: Emulator, host: str) -> None:
    """Also in addresses of answers; who leaves the port out is sent to that of the server."""
    body = {"gcsSource": {"uri": "gs://incoming/**"}}
    started = emulator.call("POST", f"v1/{STORE}:import", json=body, headers={"host": host})
    operation = emulator.call("GET", f"v1/{started['name']}", headers={"host": host})
    base = host if re.search(r":\d+$", host) else f"{host}:{emulator.port}"
    assert operation["metadata"]["logsUrl"] == f"http://{base}/logs/{started['name']}"
    document = emulator.call("GET", "$discovery/rest?version=v1", headers={"host": host})
    assert document["rootUrl"] == f"http://{base}/"


def test_pages_of_other_sites_change_nothing(emulator: Emulator) -> None:
    answer = emulator.request("POST", "emulator/reset", headers={"origin": "https://evil.example"})
    assert answer.status_code == 403


def test_it_begins_with_its_seeds(emulator: Emulator) -> None:
    assert names(emulator) == ["other", "radiology"]
    assert emulator.count() == 3
    assert list(buckets(emulator).iterdir()) == [buckets(emulator) / "incoming"]
    assert "below/readme.txt: this is a text file, not a DICOM file" in emulator.log.read_text()


def test_a_reset_leads_back(emulator: Emulator) -> None:
    emulator.call("POST", f"{DATASETS}?datasetId=mine")
    emulator.call("DELETE", f"{DATASETS}/other")
    emulator.call("DELETE", f"v1/{STORE}/dicomWeb/studies/1.2.826.1")
    sent = make_instance("9.1", "9.2", "9.3")
    assert emulator.request("POST", f"v1/{STORE}/dicomWeb/studies", content=sent, headers=DICOM).status_code == 200
    (buckets(emulator) / "incoming" / "a").write_bytes(b"a")
    (buckets(emulator) / "more").mkdir()
    assert (names(emulator), emulator.count()) == (["mine", "radiology"], 1)
    emulator.reset()
    test_it_begins_with_its_seeds(emulator)
    assert list((buckets(emulator) / "incoming").iterdir()) == []
    assert [each["0020000D"]["Value"] for each in emulator.request("GET", f"v1/{STORE}/dicomWeb/studies").json()] == [
        ["1.2.826.1"]
    ]


@pytest.mark.slow
def test_a_reset_ends_operations_that_run(emulator: Emulator) -> None:
    bucket = buckets(emulator) / "incoming"
    for number in range(2000):
        (bucket / f"{number:04}.dcm").write_bytes(make_instance(sop=f"1.2.3.{number}"))
    started = emulator.call("POST", f"v1/{STORE}:import", json={"gcsSource": {"uri": "gs://incoming/**"}})
    emulator.reset()
    assert emulator.count() == 3
    assert emulator.request("GET", f"v1/{started['name']}").status_code == 404


def test_only_a_reset_stands_below_emulator(emulator: Emulator) -> None:
    assert emulator.request("POST", "emulator").status_code == 404
    assert emulator.request("POST", "emulator/reset/all").status_code == 404
    wrong = emulator.request("GET", "emulator/reset")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST, OPTIONS")


def test_anybody_gets_a_token(emulator: Emulator) -> None:
    answer = emulator.call("POST", "token", data={"grant_type": "any"})
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
    assert emulator.request("GET", DATASETS, headers={"authorization": f"Bearer {answer['access_token']}"}).is_success


def test_another_server_has_none_of_this(gantry: Gantry) -> None:
    assert gantry.request("POST", "emulator/reset").status_code == 404
    assert gantry.request("GET", gantry.dataset, headers={"host": "gantry:8080"}).status_code == 403
    for page in ("healthz", "readyz"):
        assert gantry.request("GET", page, headers={"host": "gantry:8080"}).status_code == 200


def test_no_variable_and_no_file_makes_an_emulator(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("emulates = true\n")
    with pytest.raises(InvalidArgument, match="unknown setting emulates"):
        load_settings({}, {}, str(tmp_path / "settings.toml"))
    assert load_settings({}, {"GANTRY_EMULATES": "true"}).emulates is False
    with pytest.raises(InvalidArgument, match="not a loopback address"):
        load_settings({"host": "0.0.0.0"}, {"GANTRY_EMULATES": "true"})
    with pytest.raises(InvalidArgument, match="authenticates nobody"):
        load_settings({"auth": "required"}, {}, kind=EmulatorSettings)


def test_the_data_of_another_server_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A reset would delete it."""
    (tmp_path / "index.sqlite").write_text("precious")
    assert run_here(["emulator", "--data", str(tmp_path), "--port", "0"]) == 2
    assert "no emulator" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["index.sqlite"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--seed", "/nowhere"], "/nowhere: is not a directory"),
        (["--seed", "."], "has no directories DATASET/STORE"),
        (["--seed", "a/b=/nowhere"], "/nowhere: is not a directory"),
        (["--store", "a"], "dicomStoreId"),
        (["--bucket", "A B"], "not the name of a bucket"),
        (["--location", "moon"], "--location moon: is not one of"),
        (["--auth", "required"], "authenticates nobody"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_here(["emulator", "--port", "0", *flags]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_data_that_is_kept_and_data_that_is_not(tmp_path: Path, seeds: Path) -> None:
    kept = ("--data", str(tmp_path / "data"), "--seed", f"a/b={seeds / 'radiology' / 'main'}")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        emulator = Emulator(tmp_path / name, *kept)
        metrics = emulator.call("GET", f"{DATASETS}/a/dicomStores/b:getDICOMStoreMetrics")
        assert metrics["instanceCount"] == "3", "what is stored already is not stored twice"
        emulator.stop()
        assert list((tmp_path / name / "tmp").iterdir()) == []
        assert not (tmp_path / name / "port").exists()
    (tmp_path / "third").mkdir()
    emulator = Emulator(tmp_path / "third")
    assert names(emulator) == []
    emulator.stop()
    assert list((tmp_path / "third" / "tmp").iterdir()) == []


def test_wait_ready(emulator: Emulator) -> None:
    command = [sys.executable, "-m", "gantry", "wait-ready", "--timeout", "0", "--server"]
    assert subprocess.run([*command, emulator.url], check=False).returncode == 0
    done = subprocess.run([*command, "http://127.0.0.1:1"], check=False, capture_output=True, text=True)
    assert done.returncode == 3 and "http://127.0.0.1:1 does not answer after 0 s" in done.stderr
