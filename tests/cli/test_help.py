"""The command line itself: help, version, usage errors, and what is imported for them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from gantry.cli import run as main
from gantry.client.arguments import parser
from tests.cli.harness import ENVIRON, run

COMMANDS = [
    *("serve", "import", "export", "demo", "operations", "stores", "datasets"),
    *(f"operations {name}" for name in ("list", "describe", "errors", "wait", "cancel")),
    *(f"stores {name}" for name in ("list", "create", "describe", "update", "delete")),
    *(f"datasets {name}" for name in ("list", "create", "describe", "delete")),
    *("changes", "sql", "index copy", "migrate", "emulator", "emulator credentials", "wait-ready"),
    *(f"studies {name}" for name in ("list", "show", "delete")),
    *(f"iam {name}" for name in ("get", "add", "remove")),
    *("upload", "storage-class set", "metrics", "buckets list", "buckets check", "completion", "man"),
]


def test_help_imports_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "gantry", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRON, check=True, timeout=30)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    heavy = {"rich", "httpx", "pydantic", "sqlalchemy", "starlette", "uvicorn", "pydicom", "asyncio", "typing", "json"}
    assert "argparse" in imported
    assert not {name.partition(".")[0] for name in imported} & heavy
    assert {name for name in imported if name.startswith("gantry")} == {
        *("gantry", "gantry.cli", "gantry.client", "gantry.languages"),
        *(f"gantry.client.{name}" for name in ("arguments", "api_arguments", "parsers", "help_texts")),
    }


@pytest.mark.parametrize(
    "arguments", [(), ("foo",), ("stores", "list", "d"), ("operations",), ("serve", "--nope"), ("import", "--store")]
)
def test_usage_errors_are_json_where_it_was_asked_for(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGUAGE", "fr")
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--json"])
    printed = capsys.readouterr()
    error = json.loads(printed.out)["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["message"] in printed.err and "usage: " in printed.err
    with pytest.raises(SystemExit, match="2"):
        main(list(arguments))
    assert capsys.readouterr().out == ""


def test_what_a_command_does_not_know_is_told_by_that_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["stores", "list", "d", "--nothing"])
    told = capsys.readouterr().err
    assert "usage: gantry stores list" in told and "gantry stores list: error: unrecognized arguments: d --noth" in told


def test_a_check_that_cannot_begin_says_so_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--data", "none", "--json"]) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["error"]["status"] == "NOT_FOUND"


@pytest.mark.slow
def test_a_start_imports_no_library_of_pixels() -> None:
    """Neither the server nor a worker that imports: pydicom and what it brings are for pictures.
    The tables of its dictionary are no more than tables."""
    program = (
        "import sys; import gantry.server, gantry.ingest, gantry.dicom.dictionary as read; read.vr_of(0x00100010);"
    )
    command = [sys.executable, "-c", f"{program} print(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRON, check=True, timeout=30)
    imported = set(done.stdout.split())
    assert {"gantry.studies.retrieve", "gantry.console.app", "pydicom._dicom_dict"} <= imported
    heavy = {"pydicom", "numpy", "requests", "imagecodecs", "PIL", "httpx", "rich", "alembic", "jwt", "cryptography"}
    assert not imported & (heavy | {"botocore", "urllib3", "google.auth"})


def test_help_tells_the_exit_codes() -> None:
    done = run("--help")
    assert done.returncode == 0
    for line in ("0    everything succeeded", "3    the server cannot be reached", "GANTRY_SERVER"):
        assert line in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parser().parse_args([*command.split(), "--help"])
    assert left.value.code == 0
    assert f"usage: gantry {command}" in " ".join(capsys.readouterr().out.split())


def test_version() -> None:
    from gantry import __version__

    assert run("--version").stdout == f"gantry {__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("fly",), ("upload",), ("import", "gs://b/**", "--storage-class", "HOT")])
def test_usage_errors_exit_2(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as left:
        parser().parse_args(list(arguments))
    assert left.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("opertions",), "did you mean 'operations'?"),
        (("stores", "lits"), "did you mean 'list'?"),
        (("import", "gs://b/**", "--storage-class", "archiv"), "did you mean 'ARCHIVE'?"),
        (("fly",), "choose from serve, run, "),
    ],
)
def test_what_was_meant_is_said(arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(list(arguments))
    assert words in capsys.readouterr().err


def test_an_error_is_json_where_json_was_asked_for() -> None:
    done = run("stores", "list", "--json", "--server", "http://127.0.0.1:1")
    assert done.returncode == 3
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["status"]) == (503, "UNAVAILABLE")
    assert error["message"] in done.stderr


def test_serve_tells_a_wrong_setting_in_one_line() -> None:
    done = run("serve", "--port", "many")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gantry: port: 'many'")
    assert done.stderr.count("\n") == 1


def test_serve_reads_the_file_that_the_environment_names() -> None:
    done = run("serve", env={"GANTRY_CONFIG": "/nowhere/gantry.toml"})
    assert done.returncode == 2
    assert "gantry: /nowhere/gantry.toml: cannot be read" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("PORT", "1_0", "port: '1_0' is not a whole number from 0 to 65535"),
        ("PUBLIC_URL", "https://example.org/a", "public_url: 'https://example.org/a' is not an http or https address"),
        ("TRUSTED_PROXIES", "proxy", "trusted_proxies: 'proxy' is not a list of addresses or networks"),
    ],
)
def test_serve_names_a_setting_of_the_environment_and_what_is_wanted(name: str, value: str, wanted: str) -> None:
    done = run("serve", env={f"GANTRY_{name}": value})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"gantry: {wanted}") and done.stderr.count("\n") == 1
