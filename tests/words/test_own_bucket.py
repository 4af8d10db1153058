"""The settings ``blobs`` and ``storage_tiers``: which bucket has the stored instances, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.errors import InvalidArgument
from gantry.settings.loading import load_settings
from gantry.settings.own_bucket import OwnBucket
from gantry.storage.remote.place import RemotePlace

AMAZON = '[[remote_buckets]]\nname = "s3://hospital-*"\nregion = "eu-west-3"\n'
OTHER = '[[remote_buckets]]\nname = "s3://*"\nendpoint = "http://localhost:9000"\n'
COLD = '[[remote_buckets]]\nname = "s3://hospital-dicom"\nstorage_class = "GLACIER"\n'
WARM = '[[remote_buckets]]\nname = "s3://hospital-dicom"\nstorage_class = "STANDARD_IA"\n'
GOOGLE = '[[remote_buckets]]\nname = "hospital-dicom"\nprovider = "gcs"\n'
AZURE = '[[remote_buckets]]\nname = "az://hospital-dicom"\naccount = "hospital"\n'
BLOBS = 'blobs = "s3://hospital-dicom/gantry"\n'


def load(tmp_path: Path, text: str, **environ: str) -> OwnBucket | None:
    (tmp_path / "gantry.toml").write_text(text)
    return load_settings({}, environ, str(tmp_path / "gantry.toml")).own_bucket


@pytest.mark.parametrize(
    ("address", "kept", "prefix"),
    [
        ("s3://hospital-dicom", "s3://hospital-dicom", ""),
        ("s3://hospital-dicom/", "s3://hospital-dicom", ""),
        ("s3://hospital-dicom/a", "s3://hospital-dicom/a", "a/"),
        ("s3://hospital-dicom/a/b=2.x_-/", "s3://hospital-dicom/a/b=2.x_-", "a/b=2.x_-/"),
    ],
)
def test_a_bucket_with_and_without_a_prefix(tmp_path: Path, address: str, kept: str, prefix: str) -> None:
    place = RemotePlace("s3", "hospital-dicom", "s3://hospital-dicom", region="eu-west-3")
    assert load(tmp_path, f'blobs = "{address}"\n{AMAZON}') == OwnBucket(kept, place, prefix, {})
    assert load(tmp_path, AMAZON, GANTRY_BLOBS=address) == OwnBucket(kept, place, prefix, {})


def test_without_the_setting_there_is_none(tmp_path: Path) -> None:
    assert load(tmp_path, AMAZON) is None
    assert load(tmp_path, 'blobs = ""\n') is None


@pytest.mark.parametrize(
    ("blobs", "entry", "tier"),
    [
        ("s3://hospital-dicom", AMAZON, "DEEP_ARCHIVE"),
        ("s3://hospital-dicom", OTHER, "OUR_OWN-2"),
        ("gs://hospital-dicom", GOOGLE, "COLDLINE"),
        ("az://hospital-dicom", AZURE, "Cool"),
    ],
)
def test_tiers_of_each_provider(tmp_path: Path, blobs: str, entry: str, tier: str) -> None:
    found = load(tmp_path, f'blobs = "{blobs}"\nstorage_tiers = {{ARCHIVE = "{tier}"}}\n{entry}')
    assert found is not None
    assert (found.tier_of("ARCHIVE"), found.tier_of("main")) == (tier, "")
    assert load(tmp_path, f'blobs = "{blobs}"\n{entry}', GANTRY_STORAGE_TIERS=f"ARCHIVE={tier}") == found


def test_other_classes_have_the_tier_of_the_entry(tmp_path: Path) -> None:
    found = load(tmp_path, f'{BLOBS}storage_tiers = {{ARCHIVE = "GLACIER_IR"}}\n{WARM}')
    assert found is not None
    assert (found.tier_of("ARCHIVE"), found.tier_of("main")) == ("GLACIER_IR", "STANDARD_IA")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('blobs = "hospital-dicom"', "blobs: 'hospital-dicom' is not the address"),
        ('blobs = "/srv/blobs"', "is not the address"),
        ('blobs = "s3://hospital-dicom//a"', "is not the address"),
        ('blobs = "s3://hospital-dicom/a/../b"', "is not the address"),
        ('blobs = "s3://hospital-dicom/ä"', "is not the address"),
        ('blobs = "s3://hospital-*/a"', "is not the address"),
        (BLOBS, 'Write one with name = "s3://hospital-dicom"'),
        (BLOBS + GOOGLE, "no entry of remote_buckets reaches s3://hospital-dicom"),
        ('blobs = "gs://hospital"\n' + GOOGLE, "no entry of remote_buckets reaches gs://hospital"),
        (BLOBS + COLD, "storage_class = GLACIER, whose objects cannot be read"),
        (f'{BLOBS}layout = "files"\n{AMAZON}', "layout: files is of directories"),
        ('storage_tiers = {ARCHIVE = "GLACIER"}', "has no effect without blobs"),
        (f'{BLOBS}storage_tiers = {{ARCHIVE = "Cool"}}\n{AMAZON}', "'Cool' of ARCHIVE is not one of STANDARD, "),
        (f'{BLOBS}storage_tiers = {{ARCHIVE = "a b"}}\n{OTHER}', "is not a name of letters"),
        (
            f'{BLOBS}storage_tiers = {{FROZEN = "GLACIER"}}\n{AMAZON}',
            "storage_tiers: 'FROZEN' is no storage class; .*",
        ),
        (f'{BLOBS}storage_tiers = {{archive = "GLACIER"}}\n{AMAZON}', "storage_tiers: 'archive' is no storage class"),
        (f"{BLOBS}storage_tiers = {{ARCHIVE = 5}}\n{AMAZON}", "storage_tiers: ARCHIVE needs the name of a tier"),
        (f'{BLOBS}storage_tiers = {{ARCHIVE = ""}}\n{AMAZON}', "storage_tiers: ARCHIVE needs the name of a tier"),
        (f'{BLOBS}storage_tiers = "ARCHIVE"\n{AMAZON}', "storage_tiers: 'ARCHIVE' is not a table, or CLASS=TIER"),
        (f'{BLOBS}storage_tiers = ["ARCHIVE"]\n{AMAZON}', "storage_tiers: .* is not a table, or CLASS=TIER"),
        (
            f'blobs = "gs://hospital-dicom"\nstorage_tiers = {{ARCHIVE = "Cool"}}\n{GOOGLE}',
            "not one of STANDARD, NEARLINE",
        ),
        (f'blobs = "az://hospital-dicom"\nstorage_tiers = {{ARCHIVE = "GLACIER"}}\n{AZURE}', "not one of Hot, Cool"),
        (
            f'{BLOBS}storage_tiers = {{ARCHIVE = "GLACIER"}}\nstorage_classes = {{ARCHIVE = "/mnt"}}\n{AMAZON}',
            "ARCHIVE is in both",
        ),
    ],
)
def test_what_cannot_act_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        load(tmp_path, text)


def test_a_class_may_have_a_directory_beside_the_bucket(tmp_path: Path) -> None:
    assert load(tmp_path, f'{BLOBS}storage_classes = {{ARCHIVE = "/mnt"}}\n{AMAZON}') is not None
