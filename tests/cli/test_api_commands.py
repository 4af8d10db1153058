"""Commands for what the API does, against a real server: studies, upload, classes, metrics, policies, stores."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from gantry.cli import run as run_here
from gantry.client import progress, studies, upload, upload_files
from tests.cli.harness import CT, MR, SR, Server, Stub, run
from tests.support.dicom import make_instance

Here = Callable[..., tuple[int, str, str]]
"""Runs a command in this process, as it takes a second to start another one: exit code, stdout, stderr."""


@pytest.fixture
def here(server: Server, store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    monkeypatch.setenv("GANTRY_SERVER", server.url)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_here(list(arguments))
        return code, *capsys.readouterr()

    return call


def new_store(here: Here, name: str) -> str:
    assert here("stores", "create", f"cli/{name}")[0] == 0
    return f"cli/{name}"


def write(folder: Path, study: str, number: int, name: str = "") -> Path:
    file = folder / (name or f"{study}-{number}.dcm")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(make_instance(study, f"{study}.1", f"{study}.1.{number}"))
    return file


def json_lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_upload_counts_what_is_stored_there_already_and_failed(here: Here, tmp_path: Path) -> None:
    store = new_store(here, "uploaded")
    for number in range(3):
        write(tmp_path / "disc" / "a", "1.2.3", number)
    (tmp_path / "disc" / "note.txt").write_text("no image")
    (tmp_path / "disc" / "empty").write_bytes(b"")
    code, out, _ = here("upload", str(tmp_path / "disc"), "--store", store)
    assert code == 1
    assert out.splitlines()[-1].startswith("✗ upload: 3 stored, 0 already there, 2 failed, ")
    assert f"  {tmp_path}/disc/note.txt: " in out and "[NOT_DICOM]" in out
    assert f"  {tmp_path}/disc/empty: " in out and "[EMPTY_FILE]" in out

    code, out, _ = here("upload", str(tmp_path / "disc" / "a"), str(CT), "--store", store, "--json")
    summary = json_lines(out)[-1]["summary"]
    assert code == 0
    assert isinstance(summary, dict) and summary.pop("bytes") > 0
    assert summary == {"stored": 1, "alreadyStored": 3, "failed": 0}


def test_upload_names_the_file_that_another_one_is_in_the_way_of(here: Here, tmp_path: Path) -> None:
    store = new_store(here, "doubles")
    write(tmp_path, "1.2.4", 1, "a.dcm")
    (tmp_path / "b.dcm").write_bytes((tmp_path / "a.dcm").read_bytes() + bytes(8))
    code, out, _ = here("upload", str(tmp_path), "--store", store, "--json")
    failure, summary = json_lines(out)
    assert (code, failure["file"]) == (1, str(tmp_path / "b.dcm"))
    assert failure["reason"] == "ALREADY_EXISTS_DIFFERENT"
    assert isinstance(summary["summary"], dict) and summary["summary"]["stored"] == 1


def test_upload_in_several_requests(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store(here, "batches")
    files = [write(tmp_path, "1.2.5", number) for number in range(7)]
    monkeypatch.setattr(upload_files, "BATCH_FILES", 3)
    monkeypatch.setattr(upload_files, "BATCH_BYTES", files[0].stat().st_size * 2 + 1)
    SR_SIZE = SR.stat().st_size
    assert files[0].stat().st_size * 2 < SR_SIZE  # it is read while it is sent
    code, out, _ = here("upload", str(tmp_path), str(SR), "--store", store)
    assert (code, "8 stored, 0 already there, 0 failed" in out) == (0, True)
    code, out, _ = here("upload", str(SR), "--store", store)
    assert (code, "0 stored, 1 already there, 0 failed" in out) == (0, True)


def test_upload_tells_what_it_cannot_read_and_goes_on(here: Here, tmp_path: Path) -> None:
    store = new_store(here, "odd")
    write(tmp_path / "x", "1.2.6", 1)
    os.mkfifo(tmp_path / "x" / "pipe")
    (tmp_path / "x" / "lost").symlink_to("nowhere")
    (tmp_path / "x" / "link").symlink_to(tmp_path)
    code, out, _ = here("upload", str(tmp_path / "x"), "--store", store)
    assert (code, "1 stored, 0 already there, 3 failed" in out) == (1, True)
    assert "pipe: it is no regular file" in out
    assert "lost: there is no such file or directory" in out
    assert "link: a link to a directory is not followed" in out
    code, out, err = here("upload", str(tmp_path / "none"), "--store", store)
    assert (code, out) == (2, "")
    assert "none: there is no such file" in err


def test_upload_into_nothing_stops(here: Here, tmp_path: Path) -> None:
    write(tmp_path, "1.2.7", 1)
    code, out, err = here("upload", str(tmp_path), "--store", "cli/nowhere")
    assert code == 2
    assert "0 stored, 0 already there, 0 failed" in out
    assert "not all files were sent" in err


def test_upload_waits_for_a_server_that_is_away(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(upload, "FIRST_PAUSE", 0.01)
    answers = [(503, {}), (200, {"00081199": {"vr": "SQ", "Value": [{}]}})]
    stub.answer = lambda _verb, _path: answers.pop(0)
    assert run_here(["upload", str(CT), "--store", "d/s", "--server", stub.url]) == 0
    assert "1 stored" in capsys.readouterr().out
    monkeypatch.setattr(upload, "PATIENCE", -1.0)
    stub.answer = lambda _verb, _path: (503, {})
    assert run_here(["upload", str(CT), "--store", "d/s", "--server", stub.url]) == 3


def test_upload_counts_no_file_that_the_answer_leaves_out(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.answer = lambda _verb, _path: (200, {"00081199": {"vr": "SQ", "Value": [{}]}})
    assert run_here(["upload", str(CT), str(MR), "--store", "d/s", "--server", stub.url]) == 1
    out = capsys.readouterr().out
    assert "1 stored, 0 already there, 1 failed" in out
    assert "the server did not say what became of it" in out


@pytest.mark.slow
def test_studies(here: Here, tmp_path: Path) -> None:
    store = new_store(here, "studies")
    assert here("upload", str(CT), str(MR), "--store", store)[0] == 0
    code, out, _ = here("studies", "list", "--store", store)
    head, *rows = out.splitlines()
    assert (code, len(rows)) == (0, 2)
    assert head.split() == ["DATE", "PATIENT", "ID", "PATIENT", "MODALITIES", "DESCRIPTION", "INSTANCES", "STUDY"]

    code, out, _ = here("studies", "list", "--store", store, "--patient-id", "1CT1", "--json")
    (found,) = json_lines(out)
    uid = found["0020000D"]["Value"][0]  # type: ignore[index]
    for condition in (
        ("--patient-name", "ct1"),
        ("--modality", "CT"),
        ("--study-date", "20040101-20040131"),
        ("--where", f"StudyInstanceUID={uid}"),
    ):
        assert json_lines(here("studies", "list", "--store", store, "--json", *condition)[1]) == [found], condition
    assert "no study matches" in here("studies", "list", "--store", store, "--accession-number", "no")[2]

    code, out, _ = here("studies", "show", uid, "--store", store)
    assert (code, "CompressedSamples^CT1" in out, "SERIES" in out, "KiB" in out) == (0, True, True, True)
    shown = json.loads(here("studies", "show", uid, "--store", store, "--json")[1])
    assert (len(shown["series"]), shown["metrics"]["instanceCount"]) == (1, "1")

    assert here("studies", "delete", uid, "--store", store)[0] == 2
    code, out, _ = here("studies", "delete", uid, "--store", store, "--yes")
    assert (code, out.startswith("deleted study ")) == (0, True)
    for verb in ("show", "delete"):
        code, out, err = here("studies", verb, uid, "--store", store, *(("--yes",) if verb == "delete" else ()))
        assert (code, out, err.count("\n")) == (2, "", 1), verb


def test_studies_page_by_page(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store(here, "pages")
    for number in range(7):
        write(tmp_path, f"1.2.8.{number}", 1)
    assert here("upload", str(tmp_path), "--store", store)[0] == 0
    monkeypatch.setattr(studies, "_PAGE", 3)

    def uids(*arguments: str) -> list[object]:
        lines = json_lines(here("studies", "list", "--store", store, "--json", *arguments)[1])
        return [each["0020000D"]["Value"][0] for each in lines]  # type: ignore[index]

    everything = uids("--limit", "0")
    assert sorted(map(str, everything)) == [f"1.2.8.{number}" for number in range(7)]
    assert [*uids("--limit", "4"), *uids("--limit", "4", "--offset", "4")] == everything
    assert "there are more: --offset 4" in here("studies", "list", "--store", store, "--limit", "4")[2]
    assert "there are more" not in here("studies", "list", "--store", store, "--limit", "7")[2]
    assert here("studies", "list", "--store", store, "--limit", "-1")[0] == 2


@pytest.mark.parametrize("where", ["PatientID", "=x", "patient id=x"])
def test_a_condition_that_is_none(here: Here, store: str, where: str) -> None:
    code, _, err = here("studies", "list", "--store", store, "--where", where)
    assert (code, "is not ATTRIBUTE=VALUE" in err) == (2, True)


@pytest.mark.slow
def test_storage_class_and_metrics(here: Here, server: Server, tmp_path: Path) -> None:
    store = new_store(here, "classes")
    files = [write(tmp_path, f"1.2.9.{number}", 1) for number in (1, 2)]
    assert here("upload", str(tmp_path), "--store", store)[0] == 0
    code, out, _ = here("storage-class", "set", "archive", "--store", store, "--study", "1.2.9.1")
    assert (code, out.startswith("✓ set blob storage settings: 1 succeeded")) == (0, True)
    server.bucket("lists", {"filter.txt": b"/studies/1.2.9.2\n"})
    args = ("storage-class", "set", "NEARLINE", "--store", store, "--filter", "gs://lists/filter.txt")
    code, out, _ = here(*args, "--json")
    assert (code, json.loads(out)["metadata"]["counter"]) == (0, {"success": "1"})
    code, out, _ = here(*args, "--async")
    assert (code, "/operations/" in out) == (0, True)
    assert here("storage-class", "set", "ARCHIVE", "--store", store)[0] == 2
    assert here("storage-class", "set", "ARCHIVE", "--store", store, "--series", "1.2")[0] == 2
    assert here("storage-class", "set", "ARCHIVE", "--store", store, "--study", "1.2.9.7")[0] == 2

    size = sum(file.stat().st_size for file in files)
    metrics = json.loads(here("metrics", "--store", store, "--json")[1])
    assert (metrics["studyCount"], metrics["blobStorageSizeBytes"]) == ("2", str(size))
    assert f"blob bytes   {size:,}\n" in here("metrics", "--store", store)[1]
    assert json.loads(here("metrics", "--store", store, "--study", "1.2.9.1", "--json")[1])["instanceCount"] == "1"
    series = ("--study", "1.2.9.1", "--series", "1.2.9.1.1")
    assert "series" not in here("metrics", "--store", store, *series)[1].splitlines()[1]
    rows = [line.split() for line in here("metrics", "--dataset", "cli")[1].splitlines()]
    assert rows[0][:3] == ["STORE", "STUDIES", "SERIES"] and rows[-1][0] == "all"
    for column in range(1, 6):
        numbers = [int(row[column].replace(",", "")) for row in rows[1:]]
        assert sum(numbers[:-1]) == numbers[-1]


def test_datasets_describe_and_stores_update(here: Here) -> None:
    store = new_store(here, "labelled")
    code, out, _ = here("datasets", "describe", "cli")
    assert (code, "datasets/cli\n" in out, "stores" in out) == (0, True, True)
    assert json.loads(here("datasets", "describe", "cli", "--json")[1])["name"].endswith("/datasets/cli")

    assert here("stores", "update", store, "--label", "a=1", "--label", "b=2")[0] == 0
    changed = json.loads(here("stores", "update", store, "--label", "c=", "--remove-label", "a", "--json")[1])
    assert changed["labels"] == {"b": "2", "c": ""}
    for wrong in (("--label", "a"), (), ("--notify", "t", "--from-file", "/nowhere")):
        assert here("stores", "update", store, *wrong)[0] == 2, wrong


def test_stores_update_sends_what_the_flags_name(stub: Stub, tmp_path: Path) -> None:
    stub.answer = lambda _verb, _path: (200, {"name": "n"})
    file = tmp_path / "store.json"
    file.write_text('{"name": "n", "streamConfigs": []}')
    flags = ("--notify", "projects/p/topics/t", "--from-file", str(file), "--label", "a=1")
    assert run_here(["stores", "update", "d/s", "--server", stub.url, *flags]) == 0
    verb, path = stub.requests[0]
    assert verb == "PATCH"
    assert path.endswith("?updateMask=streamConfigs%2CnotificationConfigs%2CnotificationConfig%2Clabels.a")
    assert json.loads(stub.bodies[0])["notificationConfigs"] == [{"pubsubTopic": "projects/p/topics/t"}]
    assert run_here(["stores", "update", "d/s", "--server", stub.url, "--no-stream", "--no-notify"]) == 0
    assert json.loads(stub.bodies[1]) == {"notificationConfigs": [], "notificationConfig": None, "streamConfigs": []}


@pytest.mark.slow
def test_iam(here: Here) -> None:
    store = new_store(here, "rights")
    role, ana, bob = "roles/healthcare.dicomViewer", "user:ana@example.org", "user:bob@example.org"
    for place in (("--store", store), ("--dataset", "cli"), ()):
        assert "no bindings" in here("iam", "get", *place)[2]
        assert here("iam", "add", role, ana, *place)[0] == 0
        assert "already" in here("iam", "add", role, ana, *place)[1]
        assert here("iam", "add", role, bob, *place)[0] == 0
        assert here("iam", "remove", role, ana, *place)[0] == 0
        code, out, _ = here("iam", "get", *place)
        assert (code, out.splitlines()[1].split()) == (0, [role, bob])
        code, _, err = here("iam", "remove", role, ana, *place)
        assert (code, f"{ana} does not have {role} here" in err) == (2, True)
        assert json.loads(here("iam", "remove", role, bob, *place, "--json")[1]).get("bindings", []) == []
    condition = ("--condition", 'request.time < timestamp("2030-01-01T00:00:00Z")', "--condition-title", "until 2030")
    assert here("iam", "add", role, ana, "--store", store, *condition)[0] == 0
    code, _, err = here("iam", "remove", role, ana, "--store", store)
    assert (code, "it has it with --condition" in err) == (2, True)
    assert here("iam", "remove", role, ana, "--store", store, *condition)[0] == 0
    assert here("iam", "add", role, ana, "--store", store, *condition[:2])[0] == 2


def test_iam_is_changed_again_where_somebody_was_faster(stub: Stub) -> None:
    answers = [(200, {"etag": "a"}), (409, {"error": {"status": "ABORTED", "message": "m"}}), (200, {}), (200, {})]
    stub.answer = lambda _verb, _path: answers.pop(0)
    assert run_here(["iam", "add", "roles/r", "user:a", "--dataset", "d", "--server", stub.url]) == 0
    assert [verb for verb, _ in stub.requests] == ["GET", "POST", "GET", "POST"]


def test_buckets_list(tmp_path: Path) -> None:
    for name in ("incoming", "outgoing", "No_Bucket"):
        (tmp_path / "buckets" / name).mkdir(parents=True)
    (tmp_path / "gantry.toml").write_text('bucket_rules = [{name = "incoming", read = true}]\n')
    place = ("--buckets", str(tmp_path / "buckets"), "--config", str(tmp_path / "gantry.toml"))
    done = run("buckets", "list", *place, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [each["bucket"] for each in found] == ["gs://incoming", "gs://outgoing"]
    assert "every dataset may read" in found[0]["rules"][0]
    assert run("buckets", "list", "--buckets", str(tmp_path / "none")).returncode == 2


def test_several_imports(here: Here, server: Server, tmp_path: Path) -> None:
    store = new_store(here, "several")
    server.bucket("one", {"ct.dcm": CT.read_bytes(), "bad.dcm": b"x"})
    server.bucket("two", {"mr.dcm": MR.read_bytes()})
    lines = tmp_path / "uris"
    lines.write_text("gs://two/**\n\n")
    code, out, _ = here("import", "gs://one/**", "--from-file", str(lines), "--store", store)
    assert (code, out.splitlines()[-1]) == (1, "2 imports: 2 succeeded, 1 failed")
    args = ("import", "gs://one/ct.dcm", "gs://nowhere/**", "--store", store)
    code, out, _ = here(*args, "--json")
    assert (code, [each["done"] for each in json.loads(out)]) == (4, [True, True])
    code, out, _ = here(*args)
    assert (code, "1 operation failed or cancelled" in out.splitlines()[-1]) == (4, True)
    code, out, _ = here(*args, "--async")
    assert (code, out.count("/operations/")) == (0, 2)
    for wrong in (("gs://one/**", "one"), (), ("--from-file", "/nowhere"), ("--from-file", str(CT))):
        code, out, _ = here("import", "--store", store, *wrong)
        assert (code, out) == (2, ""), wrong


def test_an_import_of_a_file_of_this_machine(here: Here, store: str) -> None:
    code, _, err = here("import", str(CT), "--store", store)
    assert (code, "store files of this machine with `gantry upload`" in err) == (2, True)


def test_an_import_that_is_refused_among_others_is_counted(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    name = "projects/p/locations/l/datasets/d/operations/1"
    done = {"name": name, "done": True, "metadata": {"counter": {"success": "2"}}}
    posts = [(200, {"name": name}), (429, {"error": {"status": "RESOURCE_EXHAUSTED", "message": "too many"}})]
    stub.answer = lambda verb, _path: posts.pop(0) if verb == "POST" else (200, done)
    assert run_here(["import", "gs://a/**", "gs://b/**", "--store", "d/s", "--server", stub.url]) == 4
    told = capsys.readouterr()
    assert told.out.endswith("1 import: 2 succeeded, 0 failed, 1 not started\n")
    assert "gs://b/**: not started: too many" in told.err


def test_ctrl_c_names_every_import_that_continues(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    name = "projects/p/locations/l/datasets/d/operations"
    posts = [(200, {"name": f"{name}/{number}"}) for number in (1, 2, 3)]

    def answer(verb: str, path: str) -> tuple[int, object]:
        if verb == "POST":
            return posts.pop(0)
        os.kill(os.getpid(), signal.SIGINT)
        return 200, {"name": path.removeprefix("/v1/")}

    stub.answer = answer
    assert run_here(["import", "gs://a/**", "gs://b/**", "gs://c/**", "--store", "d/s", "--server", stub.url]) == 130
    told = capsys.readouterr().err
    assert all(f"operations wait {number} --dataset d" in told for number in (1, 2, 3))


def test_ctrl_c_tells_what_was_uploaded(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(_verb: str, _path: str) -> tuple[int, object]:
        os.kill(os.getpid(), signal.SIGINT)
        return 200, {}

    stub.answer = answer
    assert run_here(["upload", str(CT), "--store", "d/s", "--server", stub.url]) == 130
    told = capsys.readouterr()
    assert "0 stored, 0 already there, 0 failed" in told.out
    assert "interrupted; run it again for the rest" in told.err


def test_waiting_has_an_end(stub: Stub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_PAUSE", 0.01)
    name = "projects/p/locations/l/datasets/d/operations/1"
    stub.answer = lambda _verb, _path: (200, {"name": name})
    wait = ["operations", "wait", name, "--server", stub.url, "--timeout"]
    assert run_here([*wait, "0.05"]) == 124
    told = capsys.readouterr()
    assert "It has not ended after 0.05 s. The operation continues." in told.err
    assert run_here([*wait, "0", "--json"]) == 124
    assert json.loads(capsys.readouterr().out) == {"name": name}
    assert run_here([*wait, "-1"]) == 2
    stub.answer = lambda _verb, _path: (200, {"name": name, "done": True})
    assert run_here([*wait, "0"]) == 0


def test_a_version_that_stands_twice(here: Here, server: Server) -> None:
    _, _, err = here("stores", "list", "--server", f"{server.url}/v1/")
    assert err == f"gantry: --server: leave '/v1' out; the server is {server.url}/\n"
    with pytest.raises(HTTPError) as refused:
        urlopen(f"{server.url}/v1/v1/projects/p/locations/us-central1/datasets")  # noqa: S310
    assert "the version stands there twice" in json.load(refused.value)["error"]["message"]
