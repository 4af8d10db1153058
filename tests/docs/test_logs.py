"""The commands of docs/howto/logs.md, run by a shell."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.docs.test_readme import ROOT, shell

PAGE = (ROOT / "docs" / "howto" / "logs.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
PROJECT = "clinic-1"
PREPARE = """
mkdir -p gantry-data/buckets/incoming
echo x > gantry-data/buckets/incoming/bad.dcm
gantry stores create hospital/STORE
gantry import 'gs://incoming/*' --store hospital/STORE > import.out 2>&1 || true
name=$(curl -s "$GANTRY_SERVER/v1/projects/PROJECT/locations/us-central1/datasets/hospital/operations" |
  sed -n 's/.*"name": "\\(.*\\)".*/\\1/p' | head -1)
"""


def run(home: Path, *parts: str) -> str:
    """A server as the page starts it, an import that fails, then the page's own commands; their stdout."""
    (start,) = [block for block in BLOCKS if "--log-json" in block]
    script = start + PREPARE + "".join(parts)
    script = script.replace("OPERATION_NAME", "$name").replace("OPERATION", "${name##*/}")
    script = re.sub(r"\bPROJECT\b", PROJECT, "export GANTRY_PROJECT=PROJECT\n" + script)
    done = shell(script, home)
    assert done.returncode == 0, done.stderr
    return done.stdout


def block(holding: str) -> str:
    (found,) = [text for text in BLOCKS if holding in text]
    return found


@pytest.mark.slow
def test_command_line_browser_and_json_lines(tmp_path: Path) -> None:
    # The command line may tell by its exit code that there are errors.
    commands = block("gantry operations errors").replace("\n", " || true\n")
    shown = run(tmp_path, commands, block("curl"))
    assert shown.count("gs://incoming/bad.dcm") == 3
    (line,) = (tmp_path / "failures.jsonl").read_text().splitlines()
    assert json.loads(line)["jsonPayload"]["source"] == "gs://incoming/bad.dcm"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcloud") is None, reason="NOT TESTED: gcloud is not installed")
def test_gcloud(tmp_path: Path) -> None:
    shown = run(tmp_path, block("gcloud logging read").replace('"/2024/"', '"/bad"').replace("code=6", "code=3"))
    assert shown.count("gs://incoming/bad.dcm") == 3


@pytest.mark.slow
def test_the_entry_that_is_shown_has_the_fields_that_there_are(tmp_path: Path) -> None:
    run(tmp_path)
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    written = json.loads((tmp_path / "failures.jsonl").read_text())
    shown = json.loads(re.sub(r"\bPROJECT\b", PROJECT, shown))
    assert shown.keys() == written.keys()
    for name in ("resource", "operation", "jsonPayload"):
        assert shown[name].keys() == written[name].keys()
    assert shown["logName"] == written["logName"]
    assert shown["resource"]["labels"].keys() == written["resource"]["labels"].keys()
    assert shown["jsonPayload"]["error"] == written["jsonPayload"]["error"]


@pytest.mark.slow
def test_another_retention(tmp_path: Path) -> None:
    done = shell(block("--retention-days") + 'curl -sf "$GANTRY_SERVER/readyz"\n', tmp_path)
    assert (done.returncode, "ok" in done.stdout) == (0, True), done.stderr
