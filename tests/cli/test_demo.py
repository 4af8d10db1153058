"""The demo, without a terminal."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

from gantry import demo
from gantry.client import samples
from gantry.errors import FailedPrecondition
from tests.cli.harness import free_port, run


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


def test_demo_removes_only_what_it_made(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    done = run("demo", "--data", str(tmp_path))
    assert done.returncode == 2
    assert "name another directory" in done.stderr
    assert (tmp_path / "mine").read_text() == "precious"


def test_demo_sees_one_byte_of_difference(tmp_path: Path) -> None:
    (tmp_path / "1/2").mkdir(parents=True)
    (tmp_path / "1/2/3.dcm").write_bytes(b"same")
    same = {"1/2/3": samples.Source("a.dcm", 4, sha256(b"same").hexdigest())}
    other = {"1/2/3": samples.Source("a.dcm", 4, sha256(b"sane").hexdigest())}
    assert demo._compare(tmp_path, same) == 4
    with pytest.raises(demo.Difference, match=r"differs from gs://demo-in/a\.dcm"):
        demo._compare(tmp_path, other)
    with pytest.raises(demo.Difference, match="exported files"):
        demo._compare(tmp_path, {})


def test_demo_without_pydicom_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "find_spec", lambda _name: None)
    with pytest.raises(FailedPrecondition, match=r"pip install 'gantry-dicom\[demo\]'"):
        samples.lay_out(tmp_path)
