"""What ``pip install`` of the wheel gives, without extras: a whole server, and no codecs."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from gantry import __version__
from tests.dicomweb.instances import EXPLICIT_LE, instance, packaged, uids_of
from tests.dicomweb.test_store_json import attributes, bulk, store
from tests.docs.test_readme import from_nothing, shell
from tests.support.answers import refused
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.missing import not_tested
from tests.support.server import GantryServer, Json, counts
from tests.support.web import ONE_AS_STORED, Web, uid_path
from tests.support.wheel import ROOT, build_sdist, build_wheel, install_wheel

CODECS = ("numpy", "imagecodecs", "PIL", "openjpeg", "rle")
_VIEWS = "annotations", "frame_profiles", "icc_profiles", "windows"
_PIXELS = ("cells", "codecs", "colour", "encoders", "look_up_tables", "palettes", "rendering", "rle_segments")
NEED_PIXELS = {f"gantry.dicom.{name}" for name in (*_PIXELS, *_VIEWS)}
NEED_AUTH = {
    f"gantry.access.{name}" for name in ("endpoint", "issuer", "oidc", "service_accounts", "sign_in", "signed_tokens")
}
NEED_S3 = {f"gantry.storage.remote.{name}" for name in ("credentials", "s3", "s3_clients")}
NEED_GCS = {f"gantry.storage.remote.gcs{name}" for name in ("", "_credentials", "_errors", "_machine")}
NEED_URLLIB3 = {
    *(f"gantry.storage.remote.{name}" for name in ("connections", "proxies")),
    *(f"gantry.storage.remote.gcs{name}" for name in ("_http", "_uploads")),
    *(f"gantry.storage.remote.azure{name}" for name in ("", "_credentials", "_digests", "_requests", "_tokens")),
}
NEED_PSYCOPG = {f"gantry.index.postgresql{part}" for part in ("", "_locks", "_reading")}
_OTHERS = ("jwt", "cryptography", "botocore", "obstore", "google.auth", "urllib3", "psycopg", "dask", "ray")
NEED_RAY = {"gantry.engines.ray_client"}
NEED_DUCKDB = {
    f"gantry.storage.{name}" for name in ("sql.packing", "sql.running", "warehouse.parquet", "warehouse.views")
}
NEED_SQLGLOT = {f"gantry.storage.sql.{name}" for name in ("lowering", "meanings", "parsing")}
NEED_BIGQUERY = {
    f"gantry.storage.bigquery.{name}" for name in ("bigquery_stream", "bigquery_table", "clients", "errors", "schema")
}
NEED_DASK = {f"gantry.engines.dask_{name}" for name in ("link", "worker")}
NO_CODECS = "transcoding and rendering need codecs that are not installed: `pip install 'gantry-dicom[pixels]'`"
_IMPORT_ALL = """
import importlib, json, pkgutil, gantry
failed = {}
for module in pkgutil.walk_packages(gantry.__path__, "gantry."):
    if ".migrations" not in module.name and module.name != "gantry.__main__":
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            failed[module.name] = error.name
print(json.dumps([gantry.__file__, failed]))
"""
A, B = ("1.2.1", "1.2.1.1", "1.2.1.1.1"), ("1.2.1", "1.2.1.1", "1.2.1.1.2")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_wheel(wheel, tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def server(scripts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GantryServer]:
    home = tmp_path_factory.mktemp("home")
    env = {"PYTHONPATH": "", "PYTHONSAFEPATH": "1"}
    running = GantryServer(home / "data", home / "buckets", python=scripts / "python", env=env)
    yield running
    running.stop()


@pytest.fixture
def web(server: GantryServer) -> Web:
    return Web(Gantry(server))


def test_the_wheel_has_a_name_of_its_own(wheel: Path) -> None:
    """On PyPI ``gantry`` is somebody else's."""
    assert wheel.name == f"gantry_dicom-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as opened:
        folder = f"gantry_dicom-{__version__}.dist-info"
        metadata = Parser().parsestr(opened.read(f"{folder}/METADATA").decode())
        commands = opened.read(f"{folder}/entry_points.txt").decode()
    assert (metadata["Name"], metadata["Version"]) == ("gantry-dicom", __version__)
    asked_for = metadata.get_all("Requires-Dist", [])
    assert len(asked_for) > 10
    assert not [each for each in asked_for if each.startswith("gantry")], "dev asks for an extra of somebody else"
    assert commands.split() == [
        *("[console_scripts]", "gantry", "=", "gantry.cli:main"),
        *("[pytest11]", "gantry", "=", "gantry.pytest_plugin"),
    ]


def test_the_wheel_holds_what_a_wheel_should(wheel: Path) -> None:
    """No tests, no caches, nothing beside the package, no file twice (https://github.com/jwodder/check-wheel-contents)."""
    if importlib.util.find_spec("check_wheel_contents") is None:
        not_tested("check-wheel-contents is not installed")
    command = [sys.executable, "-m", "check_wheel_contents", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_source_archive_installs_and_brings_its_tests(tmp_path: Path) -> None:
    sdist = build_sdist(tmp_path / "sdist")
    folder = f"gantry_dicom-{__version__}"
    assert sdist.name == f"{folder}.tar.gz"
    with tarfile.open(sdist) as opened:
        names = {name.removeprefix(f"{folder}/") for name in opened.getnames()}
    tests = {str(path.relative_to(ROOT)) for path in ROOT.glob("tests/**/*.py")}
    assert len(tests) > 100 and tests <= names
    assert {"pyproject.toml", "run", "LICENSE", "CONTRIBUTING.md", "requirements/dev.txt", "PKG-INFO"} <= names
    assert not [name for name in names if name.startswith((".venv", ".git/")) or "__pycache__" in name]
    scripts = install_wheel(sdist, tmp_path / "installed")
    done = subprocess.run([scripts / "gantry", "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["gantry", __version__]


@pytest.mark.slow
def test_only_pixels_signed_tokens_object_storage_postgresql_and_engines_need_an_extra(scripts: Path) -> None:
    python = str(scripts / "python")
    for name in (*CODECS, *_OTHERS):
        found = subprocess.run([python, "-I", "-c", f"import {name}"], capture_output=True, text=True, check=False)
        assert f"No module named '{name.partition('.')[0]}'" in found.stderr, f"{name} is there, so this shows nothing"
    done = subprocess.run([python, "-I", "-c", _IMPORT_ALL], capture_output=True, text=True, check=True, timeout=60)
    where, failed = json.loads(done.stdout)
    assert Path(where).is_relative_to(scripts.parent)
    assert failed == (
        {"gantry.pytest_plugin": "pytest"}
        | dict.fromkeys(NEED_PIXELS, "numpy")
        | dict.fromkeys(NEED_AUTH, "jwt")
        | dict.fromkeys(NEED_S3, "botocore")
        | {"gantry.storage.remote.s3": "obstore"}
        | dict.fromkeys(NEED_GCS, "google")
        | dict.fromkeys(NEED_URLLIB3, "urllib3")
        | dict.fromkeys(NEED_PSYCOPG, "psycopg")
        | dict.fromkeys(NEED_DASK, "dask")
        | dict.fromkeys(NEED_RAY, "ray")
        | dict.fromkeys(NEED_DUCKDB, "duckdb")
        | dict.fromkeys(NEED_SQLGLOT, "sqlglot")
        | dict.fromkeys(NEED_BIGQUERY, "google")
    )


@pytest.mark.slow
def test_the_ten_lines_of_the_readme(scripts: Path, tmp_path: Path) -> None:
    sources = {f"1.2.826.1/1.2.826.1.1/1.2.3.{number}": make_instance(sop=f"1.2.3.{number}") for number in range(7)}
    (tmp_path / "some").mkdir()
    for number, data in enumerate(sources.values()):
        (tmp_path / "some" / f"{number}.dcm").write_bytes(data)
    root = "$GANTRY_SERVER/v1/projects/gantry/locations/us-central1/datasets/hospital/dicomStores/ct/dicomWeb"
    asked = (
        f'curl -sf "{root}/studies" > studies.json\n'
        f'curl -sf "{root}/studies/1.2.826.1/metadata" > metadata.json\n'
        'curl -sf "$GANTRY_SERVER/console" > console.html\n'
        "gantry operations list --dataset hospital --json > operations.json\n"
    )
    done = shell(
        "unset PYTHONPATH PYTHONHOME\n" + from_nothing(tmp_path) + asked, tmp_path, str(scripts), as_printed=True
    )
    assert done.returncode == 0, done.stderr
    out = tmp_path / "buckets" / "outgoing" / "all"
    exported = {str(path.relative_to(out).with_suffix("")): path.read_bytes() for path in out.rglob("*.dcm")}
    assert exported == sources
    (study,) = json.loads((tmp_path / "studies.json").read_text())
    assert (study["0020000D"]["Value"], study["00201208"]["Value"]) == (["1.2.826.1"], [7])
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    assert {each["00080018"]["Value"][0] for each in metadata} == {f"1.2.3.{number}" for number in range(7)}
    assert (tmp_path / "console.html").read_text().startswith("<!doctype html>")
    operations = json.loads((tmp_path / "operations.json").read_text())
    assert [_method_and_count(each) for each in operations] == [
        ("ExportDicomData", (7, 0)),
        ("ImportDicomData", (7, 0)),
        ("CreateDataset", (0, 0)),
    ]


def _method_and_count(operation: Json) -> tuple[str, tuple[int, int]]:
    assert operation["done"] and "response" in operation
    return operation["metadata"]["apiMethodName"].rpartition(".")[2], counts(operation)


@pytest.mark.slow
def test_dicomweb_needs_no_codecs(web: Web) -> None:
    """Both ways to store, search, metadata, instances and frames as stored, and an update."""
    stored = instance(A, PatientID="one")
    web.stored(stored)
    assert store(web, [attributes(B)], bulk(B)).status_code == 200
    assert {found["00080018"]["Value"][0] for found in web.search("instances")} == {A[2], B[2]}
    assert web.search("instances", PatientID="one")[0]["00080018"]["Value"] == [A[2]]
    assert [each["00100020"]["Value"] for each in web.metadata(uid_path(*A))] == [["one"]]
    assert web.get(uid_path(*A), ONE_AS_STORED).content == stored
    frame = web.get(f"{uid_path(*B)}/frames/1", "application/octet-stream; transfer-syntax=*")
    assert (frame.status_code, frame.content) == (200, b"\0\x50\xa0\xf0")
    missing = web.get(f"{uid_path(*A)}/frames/2", "application/octet-stream; transfer-syntax=*")
    refused(missing, "NOT_FOUND", "frame 2 does not exist; the instance has 1")
    beta = Web(web.gantry, "v1beta1")
    change = [{"op": "replace", "path": "/00100020/Value/0", "value": "two"}]
    assert web.gantry.request("PATCH", f"{beta.root}/{uid_path(*A)}/metadata", json=change).status_code == 200
    assert web.search("instances", PatientID="two")[0]["00080018"]["Value"] == [A[2]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MR_small_implicit.dcm", "MR_small_bigendian.dcm"])
def test_another_encoding_of_native_pixels_needs_no_codecs(web: Web, name: str) -> None:
    web.stored(packaged(name))
    answer = web.get(uid_path(*uids_of(packaged(name))), f"application/dicom; transfer-syntax={EXPLICIT_LE}")
    assert answer.status_code == 200, answer.text
    made, little = (pydicom.dcmread(BytesIO(data)) for data in (answer.content, packaged("MR_small.dcm")))
    assert (made.file_meta.TransferSyntaxUID, made.PixelData) == (EXPLICIT_LE, little.PixelData)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("below", "accept"),
    [
        ("/rendered", "image/png"),
        ("", "application/dicom; transfer-syntax=1.2.840.10008.1.2.5"),
        ("/frames/1", "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80"),
    ],
)
def test_pictures_and_compression_say_what_is_missing(web: Web, below: str, accept: str) -> None:
    web.stored(instance(A))
    answer = web.get(uid_path(*A) + below, accept)
    if below:
        refused(answer, "FAILED_PRECONDITION", NO_CODECS)
    else:
        assert answer.status_code == 406 and NO_CODECS in answer.text, answer.text


@pytest.mark.slow
def test_an_export_of_pictures_says_what_is_missing_of_each_instance(web: Web) -> None:
    web.stored(instance(A))
    exported = web.gantry.export("x", gcsDestination={"uriPrefix": f"gs://{web.gantry.out}/x", "mimeType": "image/png"})
    assert counts(exported) == (0, 1)
    path = f"studies/{A[0]}/series/{A[1]}/instances/{A[2]}"
    (failure,) = web.gantry.failures(exported).items()
    assert (failure[0], failure[1]["code"], failure[1]["message"]) == (path, 9, NO_CODECS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "value", "extra"),
    [
        ("BIGQUERY", "p={home}/tables", "tables"),
        ("BIGQUERY_PROJECTS", '[{{"project": "p"}}]', "bigquery"),
        ("TOPICS", '[{{"topic": "projects/p/topics/t", "pubsub": "https://pubsub.googleapis.com"}}]', "gcs"),
        ("EXECUTOR", "dask://127.0.0.1:1", "dask"),
        ("EXECUTOR", "ray://127.0.0.1:1", "ray"),
        ("DATABASE", "postgresql://127.0.0.1:1/g", "postgresql"),
    ],
)
def test_a_setting_without_its_library_says_what_to_install(
    scripts: Path, tmp_path: Path, setting: str, value: str, extra: str
) -> None:
    command = [scripts / "gantry", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    env = {"PATH": "/usr/bin:/bin", f"GANTRY_{setting}": value.format(home=tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0 and "Traceback" not in done.stderr, done.stderr
    assert f"pip install 'gantry-dicom[{extra}]'" in done.stderr


def test_every_text_names_our_own_distribution() -> None:
    """``gantry`` of PyPI is somebody else's: nobody may be told to install it."""
    kinds = (".py", ".md", ".toml", ".yml", ".yaml", ".sh", ".html", "")
    texts = [path for top in ("src", "docs", ".github") for path in (ROOT / top).rglob("*") if path.is_file()]
    texts += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "pyproject.toml", "run")]
    wrong = re.compile(r"\bgantry\[|pip install (?:-\S+ )*['\"]?gantry(?![\w-])")
    read = [
        (path, path.read_text("utf-8")) for path in texts if path.suffix in kinds and "__pycache__" not in path.parts
    ]
    assert len(read) > 500
    assert [str(path) for path, text in read if wrong.search(text)] == []
