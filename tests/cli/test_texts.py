"""Arguments that are no text, and output that cannot be written: one line, no traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.harness import free_port, run

BAD = os.fsdecode(b"\xff\xfe")


@pytest.mark.parametrize(
    "arguments",
    [
        ("sql", f"SELECT {BAD}"),
        ("studies", "list", "--store", "d/s", "--patient-id", BAD),
        ("stores", "update", "d/s", "--label", f"a={BAD}"),
        ("changes", "d/s", "--since", BAD),
        ("export", f"gs://a/{BAD}", "--store", "d/s"),
        ("stores", "list", "--token", BAD),
        ("stores", "list", "--token", "a\nb"),
        ("stores", "list", "--token", "ü"),
    ],
    ids=" ".join,
)
def test_what_is_no_text_is_refused(arguments: tuple[str, ...]) -> None:
    done = run(*arguments, env={"GANTRY_SERVER": f"http://127.0.0.1:{free_port()}"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("gantry: ") and "Traceback" not in done.stderr


def test_a_query_on_stdin_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "query").write_bytes(b"SELECT '\xff'")
    with (tmp_path / "query").open("rb") as stdin:
        done = run("sql", "-", stdin=stdin)
    assert done.returncode == 2 and done.stderr == "gantry: the query is not text in UTF-8\n"


def test_an_output_that_cannot_be_written() -> None:
    with open("/dev/full", "w") as full:
        done = run("completion", "bash", stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith("gantry: the output cannot be written: ") and "Traceback" not in done.stderr
