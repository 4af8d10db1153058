"""Every command against a real server."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gantry.cli import run as run_here
from tests.cli.harness import CT, ENVIRON, MR, SR, Server, free_port, run


def on_terminal(server: Server, *arguments: str, answer: bytes = b"") -> tuple[int, str]:
    """Exit code and screen of a command whose three streams are a terminal."""
    inside, outside = pty.openpty()
    command = [sys.executable, "-m", "gantry", *arguments]
    environ = ENVIRON | {"GANTRY_SERVER": server.url, "TERM": "xterm-256color", "COLUMNS": "120"}
    process = subprocess.Popen(command, stdin=outside, stdout=outside, stderr=outside, env=environ)
    os.close(outside)
    os.write(inside, answer)
    screen = b""
    while chunk := _read(inside):
        screen += chunk
    os.close(inside)
    return process.wait(30), screen.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end has closed
        return b""


@pytest.mark.slow
def test_stores(server: Server) -> None:
    done = server("stores", "create", "ward/one")
    assert (done.returncode, done.stdout) == (
        0,
        "created DICOM store projects/gantry/locations/us-central1/datasets/ward/dicomStores/one\n",
    )
    assert "created dataset projects/gantry/locations/us-central1/datasets/ward\n" in done.stderr
    second = server("stores", "create", "ward/two", "--json")
    assert json.loads(second.stdout)["name"].endswith("/ward/dicomStores/two")
    assert second.stderr == ""

    again = server("stores", "create", "ward/one")
    assert again.returncode == 2
    assert again.stderr.startswith("gantry: ")
    assert "Traceback" not in again.stderr

    listed = server("stores", "list", "--dataset", "ward")
    assert re.findall(r"ward/\w+(?= )", listed.stdout) == ["ward/one", "ward/two"]
    found = json.loads(server("stores", "list", "--json").stdout)
    assert "ward/two" in ["/".join(item["name"].split("/")[5::2]) for item in found]

    name = "projects/gantry/locations/us-central1/datasets/ward/dicomStores/one"
    assert name in server("stores", "describe", name).stdout
    assert json.loads(server("stores", "describe", "ward/one", "--json").stdout)["name"] == name


@pytest.mark.slow
def test_deletion_asks_first(server: Server) -> None:
    server("stores", "create", "brief/one")
    refused = server("stores", "delete", "brief/one")
    assert refused.returncode == 2
    assert "give --yes" in refused.stderr

    code, screen = on_terminal(server, "stores", "delete", "brief/one", answer=b"n\n")
    assert (code, "nothing was deleted" in screen) == (1, True)
    code, screen = on_terminal(server, "stores", "delete", "brief/one", answer=b"y\n")
    assert (code, "deleted DICOM store" in screen) == (0, True)

    assert server("stores", "describe", "brief/one").returncode == 2
    assert server("stores", "delete", "brief/one", "--yes").returncode == 2
    assert server("datasets", "delete", "brief", "--yes").returncode == 0
    assert server("datasets", "delete", "brief", "--yes").returncode == 2


@pytest.mark.slow
def test_datasets(server: Server) -> None:
    assert server("datasets", "create", "alpha").returncode == 0
    assert json.loads(server("datasets", "create", "beta", "--json").stdout)["name"].endswith("/datasets/beta")
    assert server("datasets", "create", "alpha").returncode == 2
    listed = server("datasets", "list").stdout
    assert re.search(r"^alpha +projects/gantry/locations/us-central1/datasets/alpha$", listed, re.MULTILINE)
    names = [item["name"] for item in json.loads(server("datasets", "list", "--json").stdout)]
    assert "projects/gantry/locations/us-central1/datasets/beta" in names

    asked = server("operations", "list")
    assert asked.returncode == 2
    assert "--dataset" in asked.stderr
    assert "alpha, beta" in asked.stderr


@pytest.mark.slow
def test_import_export_and_their_operations(server: Server, store: str, tmp_path: Path) -> None:
    server.bucket("in", {"a/ct.dcm": CT.read_bytes(), "a/mr.dcm": MR.read_bytes(), "sr.dcm": SR.read_bytes()})
    server.bucket("out")
    done = server("import", "gs://in/**", "--store", store, "--storage-class", "archive")
    assert done.returncode == 0
    assert re.fullmatch(r"✓ import: 3 succeeded in [\d.]+ s \([\d.,]+/s\)\n", done.stdout)
    assert re.search(r"^import: 3 of 3, [\d.,]+/s$", done.stderr, re.MULTILINE)

    env = {"GANTRY_STORE": store}
    exported = server("export", "gs://out/all", "--json", env=env)
    assert exported.returncode == 0
    operation = json.loads(exported.stdout)
    assert operation["metadata"]["counter"] == {"success": "3"}
    files = [path.read_bytes() for path in (server.buckets / "out").rglob("*.dcm")]
    assert sorted(files) == sorted(path.read_bytes() for path in (CT, MR, SR))

    listed = server("operations", "list", env=env).stdout.splitlines()
    assert listed[0].split() == ["ID", "METHOD", "STATUS", "SUCCEEDED", "FAILED", "PENDING", "TOOK", "AGE"]
    assert listed[1].split()[:6] == [operation["name"].rpartition("/")[2], "export", "succeeded", "3", "0", "0"]
    assert len(json.loads(server("operations", "list", "--limit", "1", "--json", env=env).stdout)) == 1

    shown = server("operations", "describe", operation["name"]).stdout
    assert re.search(r"^status +succeeded$", shown, re.MULTILINE)
    number = operation["name"].rpartition("/")[2]
    described = server("operations", "describe", number, "--json", env=env)
    assert json.loads(described.stdout) == operation

    waited = server("operations", "wait", number, "--dataset", "cli", "--json")
    assert (waited.returncode, json.loads(waited.stdout)) == (0, operation)
    cancelled = server("operations", "cancel", number, env=env)
    assert (cancelled.returncode, "had already ended" in cancelled.stdout) == (0, True)
    errors = server("operations", "errors", number, env=env)
    assert (errors.returncode, errors.stdout, errors.stderr) == (0, "", "no errors have been logged\n")


@pytest.mark.slow
def test_lines_of_a_filter_file_that_name_nothing_are_told(server: Server, store: str) -> None:
    server.bucket("some", {"mr.dcm": MR.read_bytes(), "filter.txt": b"/studies/1.9.1\n" * 7})
    server.bucket("none")
    assert server("import", "gs://some/mr.dcm", "--store", store).returncode == 0
    done = server("export", "gs://none/x", "--store", store, "--filter", "gs://some/filter.txt")
    assert (done.returncode, done.stdout.count("warning: ")) == (0, 5)
    words = "studies/1.9.1 names nothing in this DICOM store [NAMES_NOTHING]"
    assert f"  gs://some/filter.txt#line=1: warning: {words}\n" in done.stdout
    hint = re.search(r"more: gantry (operations errors \d+ --dataset cli)", done.stdout)
    assert hint
    assert server(*hint.group(1).split()).stdout.count("warning: ") == 7


@pytest.mark.slow
def test_failed_objects_are_named_with_the_reason(server: Server, store: str) -> None:
    broken = {f"broken/{number}.dcm": b"\x89PNG" for number in range(7)}
    server.bucket("bad", {"good.dcm": MR.read_bytes(), **broken})
    done = server("import", "gs://bad/**", "--store", store)
    assert done.returncode == 1
    assert done.stdout.startswith("✗ import finished with errors: 1 succeeded, 7 failed in ")
    assert "  gs://bad/broken/0.dcm: this is a PNG image, not a DICOM file [NOT_DICOM]\n" in done.stdout
    assert "gs://bad/broken/5.dcm" not in done.stdout
    hint = re.search(r"2 more, all of them: gantry (operations errors \d+ --dataset cli)", done.stdout)
    assert hint

    errors = server(*hint.group(1).split())
    assert errors.returncode == 0
    assert errors.stdout.count("this is a PNG image") == 7
    entries = [json.loads(line) for line in server(*hint.group(1).split(), "--json").stdout.splitlines()]
    assert {entry["jsonPayload"]["source"] for entry in entries} == {f"gs://bad/{key}" for key in broken}


@pytest.mark.slow
def test_names_cannot_speak_to_the_terminal(server: Server, store: str) -> None:
    server.bucket("evil", {"\x1b[31m[bold]red[/bold]\x9b2J\u202e.dcm": b"x"})
    plain = "gs://evil/\\x1b[31m[bold]red[/bold]\\x9b2J\\u202e.dcm"
    done = server("import", "gs://evil/**", "--store", store)
    assert plain in done.stdout
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.stdout + done.stderr)
    code, screen = on_terminal(server, "import", "gs://evil/**", "--store", store)
    assert (code, plain in screen, "\x1b[31m[bold]" in screen, "\x9b" in screen) == (1, True, False, False)
    as_json = server("import", "gs://evil/**", "--store", store, "--json").stdout
    assert not re.search(r"[\x1b\x7f-\x9f\u202e]", as_json)
    assert "\x9b2J\u202e" in json.loads(as_json)["error"]["details"][0]["sampleErrors"][0]["resource"]


@pytest.mark.slow
def test_a_missing_bucket_fails_the_operation(server: Server, store: str) -> None:
    done = server("import", "gs://nowhere/**", "--store", store)
    assert done.returncode == 4
    assert done.stdout.startswith("✗ import failed in ")
    assert "gs://nowhere" in done.stdout
    as_json = server("import", "gs://nowhere/**", "--store", store, "--json")
    assert (as_json.returncode, json.loads(as_json.stdout)["error"]["code"]) == (4, 5)


def test_async_prints_the_operation(server: Server, store: str) -> None:
    server.bucket("later", {"ct.dcm": CT.read_bytes()})
    done = server("import", "gs://later/**", "--store", store, "--async")
    assert done.returncode == 0
    name = done.stdout.strip()
    assert "follow it: gantry operations wait" in done.stderr
    assert json.loads(server("import", "gs://later/**", "--store", store, "--async", "--json").stdout)["name"] != name
    waited = server("operations", "wait", name)
    assert (waited.returncode, waited.stdout.startswith("✓ import: 1 succeeded")) == (0, True)


def test_a_bar_on_a_terminal(server: Server, store: str) -> None:
    server.bucket("shown", {"ct.dcm": CT.read_bytes()})
    code, screen = on_terminal(server, "import", "gs://shown/**", "--store", store)
    assert (code, "━" in screen, "1 of 1" in screen, "✓ import" in screen) == (0, True, True, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("import", "in/**", "--store", "cli/main"), "in/**"),
        (("import", "gs://in/**/x", "--store", "cli/main"), "** must stand at the end"),
        (("import", "gs://in/**"), "--store"),
        (("import", "gs://in/**", "--store", "main"), "DATASET/STORE"),
        (("import", "gs://in/**", "--store", "cli/none"), "none"),
        (("export", "gs://out", "--store", "cli/main", "--mime-type", "text/html"), "text/html"),
        (("export", "gs://out", "--store", "cli/main", "--filter", "gs://out/*"), "gs://out/*"),
        (("operations", "describe", "0", "--dataset", "cli"), "0"),
        (("operations", "errors", "seven", "--dataset", "cli"), "'seven'"),
        (("operations", "list", "--dataset", "cli", "--limit", "-1"), "--limit"),
        (("stores", "create", "a/b", "--location", "moon"), "moon"),
        (("stores", "list", "--server", "localhost:8080"), "--server"),
    ],
)
def test_wrong_requests_exit_2_with_one_line(
    server: Server,
    store: str,
    arguments: tuple[str, ...],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GANTRY_SERVER", server.url)
    assert run_here(list(arguments)) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("gantry: ")
    assert told.err.count("\n") == 1
    assert says in told.err


def test_no_server_exits_3_and_tells_how_to_start_one() -> None:
    done = run("stores", "list", "--server", f"http://127.0.0.1:{free_port()}")
    assert (done.returncode, done.stdout) == (3, "")
    assert "no answer from http://127.0.0.1:" in done.stderr
    assert "gantry serve" in done.stderr


def test_a_reader_that_leaves_is_no_error(server: Server, store: str) -> None:
    read, write = os.pipe()
    os.close(read)
    done = server("operations", "list", "--dataset", "cli", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
