"""docs/howto/change-feed.md: its commands run by a shell, its program, and what it says of answers."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.docs.test_howto import PREPARE, UIDS, commands, home
from tests.docs.test_readme import ROOT, shell

__all__ = ["home"]

PAGE = (ROOT / "docs" / "howto" / "change-feed.md").read_text(encoding="utf-8")
(PROGRAM,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(SHOWN,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.slow
def test_every_command_of_the_page_works(home: Path) -> None:
    done = shell(PREPARE + "".join(commands("change-feed.md")), home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("STORED    ImportDicomData") == 2
    assert done.stderr.count("--since ") == 1
    assert len(list((home / "buckets" / "incoming" / "copy").rglob("*.dcm"))) == 2
    (last,) = (home / "changes.jsonl").read_text().splitlines()
    assert json.loads(last).keys() == {"nextPageToken"}


@pytest.mark.slow
def test_the_program_keeps_a_copy(home: Path) -> None:
    """From nothing, with changes, after a token that is good no more, and as often as it is started again."""
    (home / "follow.py").write_text(PROGRAM.replace("127.0.0.1:8080", "HOST"))
    python = f'sed -i "s#http://HOST#$GANTRY_SERVER#" follow.py; PAGES={{}} {sys.executable} follow.py\n'
    store = "$GANTRY_SERVER/v1/projects/gantry/locations/us-central1/datasets/hospital/dicomStores/ct"
    study = f"{store}/dicomWeb/studies/{UIDS[0]}"
    body = """{"blobStorageSettings": {"blobStorageClass": "ARCHIVE"}}"""
    script = PREPARE + python.format(1) + "cp copy.sqlite first.sqlite\n"
    script += f"curl -sSf -X DELETE {study}\n"
    script += f"curl -sSf -d '{body}' {store}/dicomWeb/studies/1.2.9:setBlobStorageSettings\n"
    script += f"sleep 3\n{python.format(2)}cp copy.sqlite second.sqlite\n"
    script += "gantry import 'gs://incoming/d/**' --store hospital/ct\n" + python.format(1)
    done = shell(script, home)
    assert done.returncode == 0, done.stderr
    assert rows(home / "first.sqlite") == {("1.2.3.4.5", None), ("1.2.9.1.1", None)}
    assert rows(home / "second.sqlite") == {("1.2.9.1.1", "ARCHIVE")}
    assert rows(home / "copy.sqlite") == {("1.2.3.4.5", "STANDARD"), ("1.2.9.1.1", "ARCHIVE")}


def rows(path: Path) -> set[tuple[str, str | None]]:
    with closing(sqlite3.connect(path)) as copy:
        return set(copy.execute("SELECT uid, class FROM instance"))


@pytest.mark.slow
def test_the_answer_that_is_shown_has_the_fields_that_there_are(home: Path) -> None:
    store = "v1/projects/gantry/locations/us-central1/datasets/hospital/dicomStores/ct"
    body = """{"blobStorageSettings": {"blobStorageClass": "ARCHIVE"}}"""
    script = f"curl -sSf -d '{body}' $GANTRY_SERVER/{store}/dicomWeb/studies/1.2.3:setBlobStorageSettings > /dev/null\n"
    script += f"sleep 3\ncurl -sSf $GANTRY_SERVER/{store}:changeFeed > answer.json\n"
    done = shell(PREPARE + script, home)
    assert done.returncode == 0, done.stderr
    written, shown = json.loads((home / "answer.json").read_text()), json.loads(SHOWN)
    assert written.keys() == shown.keys()
    (moved,) = [change for change in written["changes"] if change["change"] == "MOVED"]
    (example,) = shown["changes"]
    assert list(moved) == list(example)
    assert len(moved["versionId"]) == len(example["versionId"])
