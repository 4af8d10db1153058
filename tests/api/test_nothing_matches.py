"""An import that matches nothing says what was there and what to write; an export's prefix is checked at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gantry.operations.no_match import MOST_KEYS, describe_source
from gantry.resources import ObjectMeta
from gantry.storage.uris import UriPattern
from tests.support.answers import refused, violated_field
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("dir", "3 objects begin with {b}/dir/ (.DCM: 2, without an extension: 1); write {b}/dir/** to"),
        ("dir/", "3 objects begin with {b}/dir/ (.DCM: 2, without an extension: 1); write {b}/dir/** to"),
        ("dir/**.dcm", "3 objects begin with {b}/dir/ (.DCM: 2, without an extension: 1); write {b}/dir/** to"),
        ("dir/*.dcm", "3 objects begin with {b}/dir/"),
        ("**.dcm", "4 objects begin with {b}/ (.DCM: 2, without an extension: 2); write {b}/** to"),
        ("dir/I?.dcm", "1 object begins with {b}/dir/I (without an extension: 1); write {b}/dir/I** to"),
        ("uids/*", "1 object begins with {b}/uids/ (without an extension: 1); write {b}/uids/** to"),
        ("other/**", "nothing begins with {b}/other/"),
        ("other", "there is no object of this name"),
        ("dir/a.dcm", "there is no object of this name"),
    ],
)
def test_what_was_there_instead(gantry: Gantry, pattern: str, words: str) -> None:
    for key in ("dir/a.DCM", "dir/deep/b.DCM", "dir/IM0001", "uids/1.2/3.4.5"):
        gantry.put(gantry.bucket, key, make_instance("1.2", "1.2.1", "1.2.1.1"))
    error = gantry.import_(pattern)["error"]
    assert error["code"] == 5
    assert words.format(b=f"gs://{gantry.bucket}") in error["message"]
    for suggested in [word for word in error["message"].split() if word.endswith("**") and "write" in error["message"]]:
        counter = gantry.import_(suggested)["metadata"]["counter"]
        assert counter, "what the message says to write matches something"


class Endless:
    """A bucket that counts how much of its listing was read."""

    read = 0

    def list(self, prefix: str = "", **_: object) -> Iterator[ObjectMeta]:
        while True:
            self.read += 1
            yield ObjectMeta(f"{prefix}{self.read:09d}.ima", 1)


def test_a_large_bucket_is_not_read_to_its_end() -> None:
    bucket = Endless()
    text = describe_source(bucket, UriPattern.parse("gs://b/d/**.dcm"))  # type: ignore[arg-type]
    assert text == "1,000 or more objects begin with gs://b/d/ (.ima: 1000); write gs://b/d/** to import them all"
    assert bucket.read <= MOST_KEYS + 1


@pytest.mark.parametrize(
    "prefix",
    ["a//b", "/a", "a//", "//", "./a", "a/.", "a/./b", "../a", "a/..", "a/../b", "a/" + "x" * 256, "a/" * 500],
)
def test_a_prefix_that_no_directory_can_have_is_refused_at_once(gantry: Gantry, prefix: str) -> None:
    body = {"gcsDestination": {"uriPrefix": f"gs://{gantry.out}/{prefix}"}}
    error = refused(gantry.request("POST", f"v1/{gantry.store}:export", json=body), "INVALID_ARGUMENT")
    assert violated_field(error) == "gcsDestination.uriPrefix"
    assert len(error["message"]) < 400
    assert gantry.operations() == []


@pytest.mark.parametrize("prefix", ["file.dcm", "file.dcm/", "file.dcm/below", "dir/file", "dir/file/a/b/"])
def test_a_prefix_that_is_an_object_is_refused_at_once(gantry: Gantry, prefix: str) -> None:
    for key in ("file.dcm", "dir/file"):
        gantry.put(gantry.out, key, b"x")
    body = {"gcsDestination": {"uriPrefix": f"gs://{gantry.out}/{prefix}"}}
    error = refused(gantry.request("POST", f"v1/{gantry.store}:export", json=body), "INVALID_ARGUMENT", "is an object")
    assert violated_field(error) == "gcsDestination.uriPrefix"
    assert gantry.operations() == []


@pytest.mark.parametrize("prefix", ["", "/", "new/dir", "dir", "dir/", "...", "a..b/.c", "é"])
def test_other_prefixes_are_good(gantry: Gantry, prefix: str) -> None:
    gantry.put(gantry.out, "dir/file", b"x")
    uri = f"gs://{gantry.out}{prefix}" if prefix in ("", "/") else f"gs://{gantry.out}/{prefix}"
    assert "error" not in gantry.export(uri)


def test_callers_do_not_read_where_buckets_lie(gantry: Gantry) -> None:
    """Neither in the error nor in the log of the operation, nor in the console; the server's log has it."""
    uri = f"gs://{gantry.bucket}-missing"
    name = gantry.server.import_(gantry.store, f"{uri}/**")
    operations = [
        gantry.wait(name),
        gantry.export(f"{uri}/out"),
        gantry.export(filterConfig={"resourcePathsGcsUri": f"{uri}/filter.csv"}),
    ]
    root = str(gantry.server.buckets)
    for operation in operations:
        assert operation["error"]["code"] == 5
        assert f"{uri} does not exist" in operation["error"]["message"]
        logged = gantry.request("GET", f"logs/{operation['name']}").text
        page = gantry.request("GET", f"console/{operation['name']}").text
        assert root not in str(operation) + logged + page
    log = gantry.server.log_text()
    assert f"bucket {uri} does not exist (operation {name.rpartition('/')[2]} of {gantry.dataset})" in log
    assert f"{root}/{gantry.bucket}-missing" in log
