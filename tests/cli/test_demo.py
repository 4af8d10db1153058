"""The demo, without a terminal."""

from __future__ import annotations

import re
import sys
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from gantry import demo
from gantry.cli import run as run_here
from gantry.client import demo_buckets, samples
from gantry.errors import FailedPrecondition
from gantry.settings.loading import Settings, load_settings
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote_buckets import find_remote
from tests.cli.harness import ENVIRON, await_server, free_port, run
from tests.support.prepared import Popen


@pytest.mark.slow
def test_demo_proves_itself_and_leaves(tmp_path: Path) -> None:
    done = run("demo", "--data", str(tmp_path / "demo"), "--port", str(free_port()))
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"✗ import finished with errors: (\d+) succeeded, 1 failed", done.stdout)
    assert found
    count = int(found.group(1))
    assert count >= 60
    assert "gs://demo-in/incoming/broken/truncated.dcm: " in done.stdout
    assert f"✓ export: {count} succeeded" in done.stdout
    assert f"{count} of {count} identical, byte for byte" in done.stdout
    assert len(list((tmp_path / "demo/buckets/demo-out").rglob("*.dcm"))) == count
    assert "gantry: stopped" in (tmp_path / "demo/server.log").read_text()
    again = re.search(r"The server has stopped, .* again on the same data with\n  gantry (serve .*)\n", done.stdout)
    assert again
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = Popen([sys.executable, "-m", "gantry", *again[1].split()], stdout=output, stderr=output, env=ENVIRON)
    url = f"http://127.0.0.1:{again[1].split()[2]}"
    await_server(url, process, log)
    errors = re.search(r"its errors +(\S+)", done.stdout)
    assert errors and "truncated.dcm" in httpx.get(errors[1], trust_env=False).text
    process.terminate()
    assert process.wait(60) == 0


def test_demo_removes_only_what_it_made(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    done = run("demo", "--data", str(tmp_path))
    assert done.returncode == 2
    assert "name another directory" in done.stderr
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.mark.slow
def test_demo_with_buckets_of_s3_proves_itself_and_says_how_to_use_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    elsewhere = {"AWS_PROFILE": "none-such", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}
    done = run("demo", "--buckets", "s3", "--data", str(folder), "--port", str(free_port()), env=elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PUT /" not in done.stderr  # the emulator would print each request
    found = re.search(r"✓ export: (\d+) succeeded", done.stdout)
    assert found and int(found[1]) >= 60
    assert f"{found[1]} of {found[1]} identical, byte for byte" in done.stdout
    assert "s3://demo-in/incoming/broken/truncated.dcm: " in done.stdout
    assert "Export to s3://demo-out/export" in done.stdout
    assert list((folder / "buckets").iterdir()) == []  # nothing went past the buckets of S3
    stored = re.search(r"what is stored +http://127\.0\.0\.1:\d+/demo-stored\S* \((\d+) objects", done.stdout)
    assert stored and 0 < int(stored[1]) < int(found[1])  # small instances share objects
    assert {path.suffix for path in (folder / "data/blobs").rglob("*.*")} <= {".gantry", ".generation", ".stores"}
    for address in ("s3://demo-in", "gs://demo-out"):
        assert "http://127.0.0.1:" in place_of(load_settings({}, {}, str(folder / "gantry.toml")), address).endpoint
    own = done.stdout[done.stdout.index("[[remote_buckets]]") :].partition("\n  gantry buckets check ")[0]
    (tmp_path / "own.toml").write_text(own)
    assert place_of(load_settings({}, {}, str(tmp_path / "own.toml")), "s3://hospital-in").region == "eu-west-3"
    assert "docs/howto/buckets.md" in done.stdout


def place_of(settings: Settings, address: str) -> RemotePlace:
    found = find_remote(settings.remote_buckets, address)
    assert found is not None
    return found


@pytest.mark.parametrize("missing", ["moto", "flask", "obstore", "botocore"])
def test_demo_with_s3_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    monkeypatch.setattr(demo_buckets, "find_spec", lambda name: None if name == missing else find_spec(name))
    assert run_here(["demo", "--buckets", "s3", "--data", str(tmp_path / "demo")]) == 2
    written = capsys.readouterr()
    assert "pip install 'gantry-dicom[demo,s3]' 'moto[server,s3]'" in written.err
    assert written.out == "" and not (tmp_path / "demo").exists()


def test_demo_sees_one_byte_of_difference() -> None:
    found = {"1/2/3.dcm": b"same"}
    same = {"1/2/3": samples.Source("a.dcm", 4, sha256(b"same").hexdigest())}
    other = {"1/2/3": samples.Source("a.dcm", 4, sha256(b"sane").hexdigest())}
    assert demo._compare(found, same) == 4
    with pytest.raises(demo.Difference, match=r"1/2/3\.dcm differs from a\.dcm"):
        demo._compare(found, other)
    with pytest.raises(demo.Difference, match="exported files"):
        demo._compare(found, {})


def test_demo_without_pydicom_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "find_spec", lambda _name: None)
    with pytest.raises(FailedPrecondition, match=r"pip install 'gantry-dicom\[demo\]'"):
        samples.lay_out({}.__setitem__)
