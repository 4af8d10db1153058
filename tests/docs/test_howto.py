"""The commands of the how-to pages on import, export, operations, storage and deletion, run by a shell."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.docs.test_readme import ROOT, shell
from tests.support.dicom import make_instance

UIDS = ("1.2.3", "1.2.3.4", "1.2.3.4.5")
NAMES = {
    "BUCKET": "incoming",
    "DIRECTORY": "d",
    "FILTER_FILE": "filter.txt",
    "DATASET": "hospital",
    "STORE": "ct",
    "STUDY": UIDS[0],
    "SERIES": UIDS[1],
    "INSTANCE": UIDS[2],
    "OPERATION": "$operation",
}
PREPARE = """
gantry serve --buckets buckets &
gantry stores create hospital/ct
gantry import 'gs://incoming/d/**' --store hospital/ct
operation=$(gantry operations list --dataset hospital --json | sed -n 's#.*/operations/\\([0-9]*\\)".*#\\1#p' | head -1)
export GANTRY_STORE=hospital/ct CLOUDSDK_CORE_PROJECT=gantry CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true
export CLOUDSDK_API_ENDPOINT_OVERRIDES_HEALTHCARE=http://127.0.0.1:8080/
"""

ASK = """
from googleapiclient.errors import HttpError
try:
    healthcare.projects().locations().datasets().list(parent="projects/gantry/locations/us-central1").execute()
except HttpError as error:
    print("refused:", error.resp.status)
"""


def commands(page: str) -> list[str]:
    """Every shell block of a page, with the reader's names filled in and errors of curl made errors."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "howto" / page).read_text(encoding="utf-8"), re.DOTALL)
    filled = []
    for block in blocks:
        text = re.sub(r"\b(" + "|".join(NAMES) + r")\b", lambda match: NAMES[match.group()], block)
        filled.append(text.replace("projects/P/", "projects/gantry/").replace("curl ", "curl -sSf "))
    return filled


@pytest.fixture
def home(tmp_path: Path) -> Path:
    bucket = tmp_path / "buckets" / "incoming"
    (bucket / "d").mkdir(parents=True)
    (bucket / "d" / "a.dcm").write_bytes(make_instance(*UIDS))
    (bucket / "d" / "b.dcm").write_bytes(make_instance("1.2.9", "1.2.9.1", "1.2.9.1.1"))
    (bucket / "filter.txt").write_text(f"/studies/{UIDS[0]}\n")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", ["import.md", "export.md", "operations.md", "storage-classes.md", "storage-on-disk.md", "deletion.md"]
)
def test_every_command_of_the_page_works(page: str, home: Path) -> None:
    blocks = commands(page)
    assert blocks
    if shutil.which("gcloud") is None:
        blocks = [re.sub(r"^gcloud(?:.*\\\n)*.*\n", "", block, flags=re.MULTILINE) for block in blocks]
    if shutil.which("rsync") is None:
        blocks = [block for block in blocks if not block.startswith("rsync")]
    if page == "export.md":
        # A made instance has no real picture behind its syntax: the forms are run on raw pixels and dicom alone.
        blocks = [block for block in blocks if "image/" not in block]
    done = shell(PREPARE + "".join(blocks), home)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_every_command_of_the_page_on_access_works(home: Path) -> None:
    """The program of the page authenticates by the key file, and may then do what it is given: nothing yet."""
    blocks = commands("access.md")
    if shutil.which("gcloud") is None:
        blocks = [re.sub(r"^gcloud(?:.*\\\n)*.*\n", "", block, flags=re.MULTILINE) for block in blocks]
    page = (ROOT / "docs" / "howto" / "access.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (home / "program.py").write_text(program.replace("127.0.0.1:8080", "HOST") + ASK)
    start = next(number for number, block in enumerate(blocks) if "service-accounts create" in block)
    asking = 'sed -i "s#http://HOST#$GANTRY_SERVER#" program.py\n'
    asking += f"GOOGLE_APPLICATION_CREDENTIALS=pacs.json {sys.executable} program.py\n"
    done = shell("".join([*blocks[: start + 1], asking, *blocks[start + 1 :]]), home)
    assert done.returncode == 0, done.stderr
    assert "refused: 403" in done.stdout
    assert '"principalEmail": "pacs@gantry.iam.gantry"' in (home / "audit.jsonl").read_text()
    assert "roles/healthcare.dicomEditor" in done.stdout


@pytest.mark.slow
def test_pictures_of_the_export_page(home: Path) -> None:
    import pydicom

    shipped = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
    shutil.rmtree(home / "buckets" / "incoming" / "d")
    (home / "buckets" / "incoming" / "d").mkdir()
    shutil.copy(shipped, home / "buckets" / "incoming" / "d")
    (forms,) = [block for block in commands("export.md") if "image/" in block]
    done = shell(PREPARE + forms, home)
    assert done.returncode == 0, done.stderr
    made = {
        path.suffix
        for path in (home / "buckets" / "incoming").rglob("*")
        if path.is_file() and path.name != "filter.txt"
    }
    assert made >= {".png", ".jpg", "", ".dcm"} - {""}
    assert len(list((home / "buckets" / "incoming" / "raw").rglob("*"))) == 3
