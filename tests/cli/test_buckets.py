"""``gantry buckets check``: each right is tried on a real bucket, and what is missing is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gantry.cli import run as run_here
from gantry.storage.remote import retrying
from gantry.storage.remote.s3 import S3
from tests.buckets.remote import Remote
from tests.cli.harness import CT
from tests.support.s3_server import S3Server


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3Server]:
    with S3Server(("in",)) as server:
        yield server


Check = Callable[..., "Done"]


@pytest.fixture
def config(tmp_path: Path, s3_server: S3Server) -> str:
    """Settings with a directory and buckets of S3."""
    (tmp_path / "data").mkdir()
    (tmp_path / "buckets" / "local").mkdir(parents=True)
    (tmp_path / "buckets" / "local" / "a.dcm").write_bytes(CT.read_bytes())
    file = tmp_path / "gantry.toml"
    places = f"data = '{tmp_path}/data'\nbuckets = '{tmp_path}/buckets'\n"
    file.write_text(places + Remote.make_settings(s3_server.url))
    return str(file)


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def check(config: str, capsys: pytest.CaptureFixture[str]) -> Check:
    """``gantry buckets check`` with these settings."""

    def run(*arguments: str) -> Done:
        return Done(run_here(["buckets", "check", *arguments, "--config", config]), *capsys.readouterr())

    return run


def rows(output: str) -> dict[str, str]:
    """What is said of each right."""
    return {line[2:13].strip(): line[13:] for line in output.splitlines() if line.startswith("  ")}


def trials(output: str) -> dict[str, bool | None]:
    return {each["right"]: each["works"] for each in json.loads(output)["trials"]}


@pytest.mark.parametrize("bucket", ["local", "gs://local", "s3://in", "s3://in/below"])
def test_what_works_is_said_and_nothing_is_left(check: Check, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
    s3_server.put("in", {"a.dcm": CT.read_bytes(), "below/a.dcm": CT.read_bytes()})
    done = check(bucket, "--write", "--json")
    assert done.code == 0, done.err + done.out
    once = ("write once",) if bucket.startswith("s3:") else ()
    assert trials(done.out) == dict.fromkeys(("list", "read", "write", "read back", *once, "delete"), True)
    assert sorted(each.name for each in (tmp_path / "buckets" / "local").iterdir()) == ["a.dcm"]
    assert trials(check("s3://in/gantry-check", "--json").out)["read"] is None


def test_without_write_nothing_is_written(check: Check, s3_server: S3Server) -> None:
    s3_server.put("in", {"a.dcm": CT.read_bytes()})
    s3_server.reset_counts()
    done = check("s3://in")
    assert done.code == 0, done.err
    assert done.out.startswith("s3://in is a bucket of a provider")
    assert set(rows(done.out)) == {"list", "read"}
    assert "--write" in done.err
    assert set(s3_server.requests.methods) <= {"HEAD", "GET"}


@pytest.mark.parametrize(
    ("operation", "right", "named"),
    [
        ("ListObjectsV2", "list", "s3:ListBucket"),
        ("GetObject", "read", "s3:GetObject"),
        ("PutObject", "write", "s3:PutObject"),
        ("DeleteObject", "delete", "s3:DeleteObject"),
    ],
)
def test_a_right_that_is_missing_is_named(
    check: Check, s3_server: S3Server, operation: str, right: str, named: str
) -> None:
    s3_server.put("in", {"a.dcm": CT.read_bytes()})
    with s3_server.fail("403 AccessDenied", methods=[operation]):
        done = check("s3://in", "--write")
    assert done.code == 1
    found = rows(done.out)
    assert found[right].startswith("no ")
    assert named in found[right]
    assert "AKIA" not in done.out.replace("AKIA…0000", "")
    assert not [each for each in found if each != right and found[each].startswith("no ")]


@pytest.mark.parametrize("holds_blobs", [True, False])
def test_a_server_that_ignores_a_condition_is_told(
    check: Check, config: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, holds_blobs: bool
) -> None:
    """It matters to stored instances alone: there a late write could bring back what was deleted."""
    put = S3._put_any
    monkeypatch.setattr(S3, "_put_any", lambda provider, key, data, more=None: put(provider, key, data))
    if holds_blobs:
        Path(config).write_text('blobs = "s3://in/own"\n' + Path(config).read_text())
    s3_server.put("in", {"a.dcm": CT.read_bytes()})
    done = check("s3://in/own", "--write")
    assert done.code == int(holds_blobs), done.out
    assert rows(done.out)["write once"].startswith("no ") and "If-None-Match" in rows(done.out)["write once"]


def test_what_the_rules_allow_is_said(check: Check, config: str) -> None:
    with Path(config).open("a") as file:
        file.write('\n[[bucket_rules]]\nname = "local"\nread = true\nprefix = "in/"\n')
    done = check("local")
    assert "below gs://local/in/ every dataset may read" in done.out
    assert "no dataset may write" in done.out


@pytest.mark.parametrize(
    ("bucket", "words"),
    [
        ("s3://there-is-none", "does not exist"),
        ("gs://there-is-none", "does not exist"),
        ("az://not-named", "settings"),
        ("gs://in/*.dcm", "wildcards"),
        ("gs://", "bucket"),
    ],
)
def test_no_bucket(check: Check, bucket: str, words: str) -> None:
    done = check(bucket)
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err


def test_nothing_is_left_where_it_is_not_known_whether_it_was_written(
    check: Check, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "FIRST_SECONDS", 0.001)
    with s3_server.fail("reset after", methods=["PutObject"]) as rule:
        done = check("s3://in/unsure", "--write", "--json")
        assert rule.failed
    assert done.code == 1 and trials(done.out)["write"] is False
    assert trials(check("s3://in/unsure", "--json").out)["read"] is None, "there is no object"


def test_objects_in_an_archive_are_counted_and_another_one_is_read(check: Check, s3_server: S3Server) -> None:
    s3_server.put("in", {"cold/a": b"x", "cold/b": b"x"}, {"x-amz-storage-class": "GLACIER"})
    s3_server.put("in", {"cold/c": b"x"})
    found = rows(check("s3://in/cold").out)
    assert "3 objects, 2 of them in an archive" in found["list"]
    assert "cold/c, 1 bytes" in found["read"]


def test_a_bucket_that_does_not_answer_is_no_server_that_does_not_run(check: Check, s3_server: S3Server) -> None:
    with s3_server.fail("403 ExpiredToken"):
        done = check("s3://in")
    assert done.code == 1
    assert "ExpiredToken" in done.err and "gantry serve" not in done.err
