"""The command line in the languages of its readers: what is shown, and what stays as it is for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from gettext import NullTranslations
from pathlib import Path
from subprocess import PIPE

import pytest

from gantry import cli, languages
from gantry.client.arguments import parser
from gantry.client.command_tree import Command, read_english_tree, read_tree
from gantry.languages import use_language
from tests.cli.harness import CT, ENVIRON, MR, Server, run
from tests.support.prepared import Popen

pytestmark = pytest.mark.slow

FRENCH, PORTUGUESE = {"LC_ALL": "fr_FR.UTF-8"}, {"LC_ALL": "", "LANG": "pt_BR.UTF-8"}
_MARKED = re.compile("⟦[^⟦⟧]*⟧")
_WORDS = re.compile(r"(?<![-\w/.])[A-Za-z]?[a-z]{2,} [a-z]{2,}\b(?!://)")
_COMMAND = re.compile(r"(?:pip install|gantry|gcloud|export|eval|curl|[A-Z_]+=\S+ python) .*")


class Pseudo(NullTranslations):
    """Marks every text of the catalogues, so that those of no catalogue can be seen."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"⟦{msgid1 if n == 1 else msgid2}⟧"


@pytest.fixture
def pseudo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    load = languages._load
    monkeypatch.setattr(languages, "_load", lambda tag: Pseudo() if tag == "fr" else load(tag))
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "fr_FR.UTF-8")
    monkeypatch.setenv("COLUMNS", "200")
    with use_language("fr"):
        yield


def leave_out_marked(text: str) -> str:
    while (rest := _MARKED.sub("", text)) != text:
        text = rest
    return text


def find_unmarked(text: str) -> list[str]:
    """Two words beside each other that came out of no catalogue; commands to copy are left out."""
    lines = leave_out_marked(text).splitlines()
    return [found for line in lines for found in _WORDS.findall(_COMMAND.sub("", line))]


def test_what_is_not_marked_is_found() -> None:
    assert find_unmarked("⟦one {x} two⟧ three four\n  gantry stores list") == ["three four"]
    assert find_unmarked("⟦all ⟦of it⟧ is⟧ gs://a/b") == []


def list_commands() -> list[Command]:
    return list(read_english_tree().walk())


@pytest.mark.parametrize("command", list_commands(), ids=lambda each: " ".join(each.path) or "gantry")
def test_every_help_is_out_of_the_catalogues(
    command: Command, pseudo: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.run([*command.path, "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    usage = text.index("⟧") + 1
    body = text[usage:].partition("\n\n")[2]
    assert "⟦" in body and find_unmarked(body) == []


@pytest.mark.parametrize(
    "arguments", [(), ("fly",), ("stores", "lits"), ("import", "gs://b/**", "--limit", "3"), ("operations", "wait")]
)
def test_a_wrong_command_line_is_told_out_of_the_catalogues(
    arguments: tuple[str, ...], pseudo: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.run(list(arguments))
    assert left.value.code == 2
    told = capsys.readouterr().err.partition("\n⟦")[2]
    assert "error: ⟦" in told and find_unmarked(f"⟦{told}") == []


COMMANDS = [
    *("datasets create tongues", "datasets list", "datasets describe tongues", "stores create tongues/ct"),
    *("stores list", "stores describe tongues/ct", "stores update tongues/ct --label a=b", "stores update tongues/ct"),
    "import gs://tongues/** --store tongues/ct",
    "import gs://tongues/a.dcm gs://tongues/b.dcm --store tongues/ct",
    "import gs://tongues/** --store tongues/ct --async",
    *("import nowhere --store tongues/ct", "import --store tongues/ct"),
    "export gs://tongues/out --store tongues/ct",
    *("operations list --dataset tongues", "operations list --dataset tongues --limit -1"),
    *("operations describe {operation}", "operations errors {operation}", "operations wait {operation}"),
    *("operations cancel {operation}", "operations wait {operation} --timeout -1"),
    *("studies list --store tongues/ct", "studies list --store tongues/ct --limit 1"),
    *("studies list --store tongues/ct --patient-id none", "studies list --store tongues/ct --where x"),
    *("studies show {study} --store tongues/ct", "metrics --dataset tongues", "metrics --store tongues/ct"),
    *("storage-class set ARCHIVE --study {study} --store tongues/ct", "storage-class set ARCHIVE --store tongues/ct"),
    *("changes tongues/ct", "changes tongues/ct --since x --now", "iam get --dataset tongues"),
    "iam add roles/healthcare.dicomViewer user:a@example.org --dataset tongues",
    "iam remove roles/healthcare.dicomViewer user:b@example.org --dataset tongues",
    *("upload {file} --store tongues/ct", "upload /nowhere --store tongues/ct"),
    *("studies delete {study} --store tongues/ct --yes", "stores delete tongues/ct", "stores delete tongues/ct --yes"),
    *("datasets delete tongues --yes", "wait-ready", "wait-ready --server ftp://x"),
    "stores list --server http://127.0.0.1:1",
]


def test_what_commands_print_is_out_of_the_catalogues(
    server: Server, pseudo: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANTRY_SERVER", server.url)
    server.bucket("tongues", {"a.dcm": CT.read_bytes(), "b.dcm": MR.read_bytes(), "c.txt": b"this is no DICOM file"})
    values = {"file": str(MR), "study": "", "operation": ""}
    for command in COMMANDS:
        code = cli.run(command.format(**values).split())
        printed = capsys.readouterr()
        assert code in (0, 1, 2, 3), (command, printed)
        assert find_unmarked(leave_out_messages(printed.out + printed.err)) == [], (command, printed)
        if command.startswith("import gs://tongues/**"):
            values["operation"] = read_name(server, "operations", "list", "--dataset", "tongues")
            studies = server("studies", "list", "--store", "tongues/ct", "--json").stdout.splitlines()
            values["study"] = json.loads(studies[0])["0020000D"]["Value"][0]


def read_name(server: Server, *command: str) -> str:
    return str(json.loads(server(*command, "--json").stdout)[0]["name"])


def leave_out_messages(text: str) -> str:
    """Messages of the server are English: they stand behind a title that is marked, in brackets or before a reason."""
    text = re.sub(r"⟧: [^⟦⟧]* \[[A-Z_]+\]", "⟧", text)
    return re.sub(r"⟧ \([^⟦⟧]*\)$", "⟧", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (FRENCH, "utilisation : gantry"),
        (PORTUGUESE, "uso: gantry"),
        ({"LANG": "pt_PT.UTF-8", "LANGUAGE": "de:pt"}, "uso: gantry"),
        ({"LC_ALL": "C"}, "usage: gantry"),
        ({"LC_ALL": "C.UTF-8", "LANGUAGE": "fr"}, "usage: gantry"),
        ({"LANG": "de_DE.UTF-8"}, "usage: gantry"),
        ({"LANG": "../../fr"}, "usage: gantry"),
        ({"LANG": "fr\udcff"}, "usage: gantry"),
        (FRENCH | {"PYTHONIOENCODING": "ascii"}, "usage: gantry"),
        (FRENCH | {"PYTHONIOENCODING": "latin-1"}, "utilisation : gantry"),
    ],
)
def test_the_environment_chooses(environ: dict[str, str], words: str) -> None:
    done = run("--help", env=environ, encoding="latin-1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(words)


def test_json_and_its_errors_are_the_same_in_every_language(server: Server, store: str) -> None:
    for command in (("stores", "list"), ("stores", "describe", "no/store"), ("metrics", "--dataset", "cli")):
        english = server(*command, "--json")
        assert all(
            (each.stdout, each.stderr, each.returncode) == (english.stdout, english.stderr, english.returncode)
            for each in (server(*command, "--json", env=environ) for environ in (FRENCH, PORTUGUESE))
        )


def test_numbers_are_written_as_in_the_language(server: Server, store: str) -> None:
    server.bucket("numbers", {f"{number}.dcm": CT.read_bytes() for number in range(1100)})
    counts = {
        environ["LC_ALL"] or "pt": server("import", "gs://numbers/**", "--store", store, env=environ).stdout
        for environ in ({"LC_ALL": "C"}, FRENCH, PORTUGUESE)
    }
    assert "1,100 succeeded" in counts["C"]
    assert "1\u202f100 avec succès" in counts["fr_FR.UTF-8"]
    assert "1.100 com sucesso" in counts["pt"]


def test_a_question_takes_the_answers_of_the_language() -> None:
    from gantry.languages import _

    answers = {}
    for tag in ("en", "pt-BR", "fr"):
        with use_language(tag):
            answers[tag] = (_("[y/N]"), _("y yes").split())
    assert answers == {
        "en": ("[y/N]", ["y", "yes"]),
        "pt-BR": ("[s/N]", ["s", "sim", "y", "yes"]),
        "fr": ("[o/N]", ["o", "oui", "y", "yes"]),
    }


def test_files_for_all_users_are_english() -> None:
    for command in (("man",), ("completion", "bash"), ("completion", "zsh")):
        assert run(*command, env=FRENCH).stdout == run(*command).stdout != ""


def test_a_start_that_is_refused_is_told_in_the_language(tmp_path: Path) -> None:
    done = run("serve", "--data", str(tmp_path), "--host", "0.0.0.0", env=FRENCH)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gantry: host : '0.0.0.0' n'est pas une adresse de loopback"), done.stderr


def test_a_server_greets_in_the_language_and_logs_in_english(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gantry", "serve", "--data", str(tmp_path), "--port", "0"]
    process = Popen(command, stdout=PIPE, stderr=PIPE, text=True, env=ENVIRON | FRENCH)
    assert process.stdout is not None
    greeting = process.stdout.readline()
    process.terminate()
    log = process.communicate(timeout=60)[1].splitlines()
    assert greeting.startswith("Gantry est prêt à http://127.0.0.1:")
    assert "INFO Started server process" in log[0]
    assert log[-1] == "gantry : arrêté"


def test_the_tree_of_commands_is_the_same_in_every_language() -> None:
    with use_language("fr"):
        french = read_tree(parser())
    assert [each.path for each in french.walk()] == [each.path for each in list_commands()]
    assert [[one.flags for one in each.arguments] for each in french.walk()] == [
        [one.flags for one in each.arguments] for each in list_commands()
    ]
