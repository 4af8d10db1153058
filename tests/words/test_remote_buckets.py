"""Entries of the setting ``remote_buckets``: what they may say, and which address each covers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gantry.errors import FailedPrecondition, InvalidArgument
from gantry.settings.loading import load_settings
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote_buckets import RemoteBuckets, find_remote, list_remote

ENTRIES = (
    RemoteBuckets.parse({"name": "incoming", "provider": "s3", "bucket": "there", "region": "eu-west-3"}),
    RemoteBuckets.parse({"name": "lab-*", "provider": "s3", "anonymous": True}),
    RemoteBuckets.parse({"name": "s3://archive-?", "endpoint": "http://localhost:9000", "path_style": False}),
    RemoteBuckets.parse({"name": "gs://lab-2", "provider": "s3", "bucket": "never"}),
    RemoteBuckets.parse({"name": "cloud-*", "provider": "gcs", "billing_project": "p"}),
)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("gs://incoming", RemotePlace("s3", "there", "gs://incoming", region="eu-west-3")),
        ("gs://lab-2", RemotePlace("s3", "lab-2", "gs://lab-2", anonymous=True)),
        (
            "s3://archive-7",
            RemotePlace("s3", "archive-7", "s3://archive-7", endpoint="http://localhost:9000", path_style=False),
        ),
        ("gs://cloud-1", RemotePlace("gcs", "cloud-1", "gs://cloud-1", billing_project="p")),
        *((f"{scheme}://{name}", None) for scheme, name in (("s3", "incoming"), ("gs", "archive-7"), ("az", "lab-2"))),
        *((address, None) for address in ("gs://incoming2", "s3://archive-77", "gs://other", "s3://archive-")),
    ],
)
def test_an_address_is_covered_by_the_first_entry_that_names_it(address: str, place: RemotePlace | None) -> None:
    assert find_remote(ENTRIES, address) == place


def test_single_buckets_are_listed() -> None:
    assert list_remote(ENTRIES) == ["gs://incoming", "gs://lab-2"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("x", "needs the name"),
        ({}, "needs the name"),
        ({"name": ""}, "needs the name"),
        ({"name": 5}, "needs the name"),
        ({"name": "b"}, "needs provider"),
        ({"name": "b", "provider": "ftp"}, "needs provider"),
        ({"name": "az://b"}, "needs the account"),
        ({"name": "http://b", "provider": "s3"}, "is not a Cloud Storage address"),
        ({"name": "s3://b/key"}, "is an object"),
        ({"name": "s3://B"}, "not a bucket name"),
        ({"name": "s3://[ab]"}, "may hold"),
        ({"name": "s3://b", "colour": "red"}, "colour of 's3://b' is no key"),
        ({"name": "s3://b", "acces_key_id": "a"}, "Write access_key_id"),
        ({"name": "s3://b", "bucket": ""}, "Name the bucket at the provider"),
        ({"name": "s3://b", "profile": ""}, "profile = \"\" of 's3://b' says nothing"),
        ({"name": "s3://b", "region": 5}, "region = 5 of 's3://b' is not a text in quotes"),
        (
            {"name": "s3://b", "anonymous": "true"},
            "anonymous = 'true' of 's3://b' is not true or false, without quotes",
        ),
        ({"name": "s3://b", "concurrency": "8"}, "concurrency = '8' of 's3://b' is not a whole number"),
        ({"name": "s3://b", "endpoint": "https://h:0"}, "the port in the endpoint of 's3://b' is from 1 to 65535"),
        ({"name": "s3://b", "endpoint": "https://[::1]:65536"}, "the port in the endpoint"),
        ({"name": "s3://b", "storage_class": "COOL"}, "storage_class = 'COOL' of 's3://b' is not one of STANDARD, "),
        ({"name": "s3://b", "endpoint": "https://h", "storage_class": "a b"}, "is not a name of letters"),
        ({"name": "b", "provider": "gcs", "storage_class": "Cool"}, "is not one of STANDARD, NEARLINE"),
        ({"name": "az://b", "account": "abc", "storage_class": "COOL"}, "is not one of Hot, Cool"),
        ({"name": "az://b", "account": "ABC"}, 'Write account = "NAME", of 3 to 24'),
        ({"name": "s3://b", "concurrency": "9"}, "concurrency"),
        ({"name": "s3://b", "concurrency": True}, "concurrency"),
        ({"name": "s3://b", "concurrency": 0}, "concurrency"),
        ({"name": "s3://b", "path_style": "yes"}, "path_style"),
        ({"name": "s3://b", "address": "gs://c"}, "address"),
        ({"name": "s3://b", "endpoint": "minio:9000"}, "endpoint"),
        ({"name": "s3://b", "endpoint": "ftp://minio"}, "endpoint"),
        ({"name": "s3://b", "endpoint": "https://"}, "endpoint"),
        ({"name": "s3://b", "endpoint": "https://user:password@minio"}, "without a user"),
        ({"name": "s3://b", "endpoint": "https://minio?x=y"}, "endpoint"),
        ({"name": "s3://b", "bucket": "Hospital Incoming"}, "bucket = 'Hospital Incoming'"),
        ({"name": "s3://b", "bucket": "a/b"}, "bucket = 'a/b'"),
        ({"name": "s3://b", "region": "eu west"}, "region = 'eu west'"),
        ({"name": "s3://b", "session_token": "t"}, "session_token"),
        ({"name": "s3://b", "anonymous": True, "instance_metadata": True}, "instance_metadata"),
        ({"name": "s3://b-*", "bucket": "c"}, "several buckets"),
        ({"name": "s3://b", "access_key_id": "a"}, "secret_access_key"),
        ({"name": "s3://b", "secret_access_key": "a"}, "access_key_id"),
        ({"name": "s3://b", "credentials_file": "/f"}, "credentials_file of 's3://b' has no effect with s3"),
        ({"name": "b", "provider": "gcs", "region": "eu"}, "region of 'b' has no effect with gcs"),
        ({"name": "b", "provider": "gcs", "bulk_delete": False}, "bulk_delete of 'b' has no effect with gcs"),
        ({"name": "b", "provider": "gcs", "credentials_file": 5}, "credentials_file = 5"),
        ({"name": "b", "provider": "gcs", "credentials_file": "/f", "anonymous": True}, "anonymous"),
        ({"name": "s3://b", "endpoint": "http://minio:9000", "ca_file": "/ca.pem"}, "without https://"),
        ({"name": "b", "provider": "gcs", "billing_project": "p", "anonymous": True}, "nobody pays anonymously"),
        ({"name": "s3://b", "access_key_id": "a", "secret_access_key": "b", "anonymous": True}, "anonymous"),
    ],
)
def test_entries_that_are_not_understood(value: Any, words: str) -> None:
    with pytest.raises(InvalidArgument, match="remote_buckets") as refused:
        RemoteBuckets.parse(value)
    assert words in refused.value.message


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://localhost:9000",
        "https://minio.example.org",
        "https://[::1]:9000/",
        "http://10.0.0.1/s3",
        "https://a_b:1",
    ],
)
def test_endpoints_that_are_understood(endpoint: str) -> None:
    assert RemoteBuckets.parse({"name": "s3://b", "endpoint": endpoint}).place.endpoint == endpoint


def test_a_secret_is_never_shown() -> None:
    given = {"name": "s3://b", "access_key_id": "a", "secret_access_key": "hush-hush", "session_token": "token-hush"}
    assert "hush" not in repr(RemoteBuckets.parse(given))
    for wrong in ({"secret_access_key": ["hush-hush"]}, {"secret_acess_key": "hush-hush"}):
        with pytest.raises(InvalidArgument) as refused:
            RemoteBuckets.parse(given | wrong)
        assert "hush" not in refused.value.message


@pytest.mark.parametrize("head", ["[remote_buckets]", "[[remote_buckets.own]]"])
def test_a_secret_in_what_is_no_list_is_not_shown(tmp_path: Path, head: str) -> None:
    (tmp_path / "gantry.toml").write_text(f'{head}\nname = "s3://b"\nsecret_access_key = "hush-hush"\n')
    with pytest.raises(
        InvalidArgument, match=r"remote_buckets: is not a list of tables.*\[\[remote_buckets\]\]"
    ) as refused:
        load_settings({}, {}, str(tmp_path / "gantry.toml"))
    assert "hush" not in refused.value.message


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["s3://b", "s3://b"], "'s3://b' has no effect: 's3://b' stands before it"),
        (["s3://*", "s3://b"], "'s3://b' has no effect: 's3://*' stands before it"),
        (["lab-*", "gs://lab-x*"], "Write the narrower one first"),
        (["s3://lab-?", "s3://lab-*"], ""),
        (["s3://lab-*", "s3://*"], ""),
        (["s3://lab-?*", "s3://lab-*"], ""),
        (["s3://b", "gs://b"], ""),
    ],
)
def test_an_entry_that_nothing_reaches_is_refused(tmp_path: Path, names: list[str], words: str) -> None:
    text = "".join(f'[[remote_buckets]]\nname = "{name}"\nprovider = "s3"\n' for name in names)
    (tmp_path / "gantry.toml").write_text(text)
    if not words:
        assert len(load_settings({}, {}, str(tmp_path / "gantry.toml")).remote_buckets) == len(names)
        return
    with pytest.raises(InvalidArgument) as refused:
        load_settings({}, {}, str(tmp_path / "gantry.toml"))
    assert words in refused.value.message


@pytest.mark.parametrize("entry", ['name = "s3://b"\nca_file', 'name = "b"\nprovider = "gcs"\ncredentials_file'])
def test_a_file_that_cannot_be_read_is_said_at_the_start(tmp_path: Path, entry: str) -> None:
    (tmp_path / "gantry.toml").write_text(f'[[remote_buckets]]\n{entry} = "{tmp_path}/none"\n')
    with pytest.raises(InvalidArgument, match=r"_file of '.*' .*/none: cannot be read: ") as refused:
        load_settings({}, {}, str(tmp_path / "gantry.toml"))
    assert refused.value.message.startswith("remote_buckets: ")


def test_only_the_file_can_have_them(tmp_path: Any) -> None:
    path = tmp_path / "gantry.toml"
    path.write_text('[[remote_buckets]]\nname = "s3://b"\n')
    assert [each.name for each in load_settings({}, {}, str(path)).remote_buckets] == ["s3://b"]
    with pytest.raises(InvalidArgument, match="remote_buckets"):
        load_settings({}, {"GANTRY_REMOTE_BUCKETS": "s3://b"})


def test_a_server_does_not_start_without_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    from gantry import bucket_wiring

    bucket_wiring.require_libraries(ENTRIES)
    for missing in ("a_library_that_is_not_there", "not_there.either"):
        monkeypatch.setattr(bucket_wiring, "_LIBRARIES", {"s3": ("obstore", missing)})
        with pytest.raises(FailedPrecondition, match="pip install 'gantry-dicom\\[s3\\]'"):
            bucket_wiring.require_libraries(ENTRIES)


def test_a_server_does_not_start_without_the_profile_that_an_entry_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each request would say that there are no credentials, and not why."""
    from gantry import bucket_wiring

    files = {"AWS_CONFIG_FILE": "[profile gantry]\n", "AWS_SHARED_CREDENTIALS_FILE": "[other]\n"}
    for variable, text in files.items():
        (tmp_path / variable).write_text(text)
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv("AWS_PROFILE", "not-there")
    for name in ("gantry", "other"):
        bucket_wiring.require_libraries([RemoteBuckets.parse({"name": "s3://b", "profile": name})])
    missing = RemoteBuckets.parse({"name": "s3://b", "profile": "gantri"})
    with pytest.raises(FailedPrecondition, match="profile = 'gantri'; the files of Amazon's tools have gantry, other"):
        bucket_wiring.require_libraries([missing])
    (tmp_path / "AWS_CONFIG_FILE").write_text("no section\n")
    with pytest.raises(FailedPrecondition, match="profile = 'gantri'"):
        bucket_wiring.require_libraries([missing])
