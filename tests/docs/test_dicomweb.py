"""Every sample of docs/howto/dicomweb.md, in order, as a new user types them; only host and port are changed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest

from tests.docs.test_readme import ROOT, shell

PAGE = (ROOT / "docs" / "howto" / "dicomweb.md").read_text(encoding="utf-8")
STUDY, SERIES, INSTANCE = re.findall(r"^(?:STUDY|SERIES|INSTANCE)=([\d.]+)$", PAGE, re.MULTILINE)
OTHER = "1.2.826.0.1.3680043.10.1.2"
JSON, DICOM_JSON = "application/json; charset=UTF-8", "application/dicom+json"
CURLRC = r"silent" "\n" r'write-out = "%{stderr}\nHTTP %{http_code} %{content_type}\n"' "\n"
MARK = "--- next sample"
GONE = """
for i in $(seq 100); do
  [ "$(curl -o /dev/null -w '%{http_code}' "$STORE/dicomWeb/instances?StudyInstanceUID=$STUDY")" = 204 ] && exit 0
  sleep 0.1
done
exit 1
"""


@dataclass
class Said:
    """What one command printed, and what curl says about its answer."""

    command: str
    text: str
    errors: str

    def answer(self, kind: str) -> str:
        """The body of an answer that is 200 and of this media type."""
        assert re.findall(r"^HTTP (.*?) ?$", self.errors, re.MULTILINE) == [f"200 {kind}"], self
        return self.text

    def found(self, tag: str) -> list[Any]:
        """A search's or metadata's answer, by this attribute of each result."""
        return [item[tag]["Value"][0] for item in json.loads(self.answer(DICOM_JSON))]


def samples() -> list[str]:
    """One command each. Comments are refused: zsh takes them for arguments when they are typed."""
    found = []
    for language, block in re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL):
        assert language in ("sh", "python"), language
        if language == "python":
            found.append(f"python - <<'END'\n{block}END\n")
            continue
        assert not re.search(r"\s#", block), block
        found += [line + "\n" for line in re.sub(r"\\\n", "", block).splitlines()]
    return found


def write(path: Path, uids: tuple[str, str, str], modality: str, date: str) -> None:
    ds = pydicom.dcmread(Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm")
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = uids
    ds.file_meta.MediaStorageSOPInstanceUID = uids[2]
    ds.Modality, ds.StudyDate, ds.PatientName, ds.StudyDescription = modality, date, "Doe^Jane", "CHEST"
    ds.RescaleIntercept = 0
    pixels = np.full((ds.Rows, ds.Columns), 40, "<i2")
    pixels[:, :40], pixels[:, 80:] = -100, 1000
    ds.PixelData = pixels.tobytes()
    ds.save_as(path)


def home(path: Path) -> Path:
    """A new user's directory: three files, two of them of the page's series."""
    write(path / "image.dcm", (STUDY, SERIES, INSTANCE), "CT", "20240312")
    write(path / "a.dcm", (STUDY, SERIES, f"{SERIES}.2"), "CT", "20240312")
    write(path / "b.dcm", (OTHER, f"{OTHER}.1", f"{OTHER}.1.1"), "MR", "20230312")
    (path / ".curlrc").write_text(CURLRC)
    return path


def run(home: Path) -> dict[str, Said]:
    """By a part of the command that no other has; all have run, in order, in one shell."""
    commands = samples()
    script = "".join(f"echo '{MARK}'; echo '{MARK}' >&2\n{command}" for command in [*commands, GONE])
    done = shell(script, home)
    assert done.returncode == 0, done.stderr
    texts, errors = (stream.split(f"{MARK}\n")[1:-1] for stream in (done.stdout, done.stderr))
    return {command: Said(command, *rest) for command, *rest in zip(commands, texts, errors, strict=True)}


def one(said: dict[str, Said], part: str) -> Said:
    (found,) = [each for command, each in said.items() if part in command]
    return found


def check_store(said: dict[str, Said]) -> None:
    assert "created DICOM store" in one(said, "gantry stores create").text
    answer = one(said, "--data-binary @image.dcm").answer("application/dicom+xml")
    assert f"/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}<" in answer
    assert "ReferencedSOPSequence" in answer
    assert "FailedSOPSequence" not in answer


def check_python(said: dict[str, Said]) -> None:
    assert one(said, "python - ").text.split() == [STUDY]


def check_search(said: dict[str, Said]) -> None:
    studies = one(said, "/studies?PatientName=")
    assert studies.found("0020000D") == [STUDY]
    assert studies.found("00081030") == ["CHEST"]
    assert one(said, "/series?Modality=MR").found("0020000E") == [f"{OTHER}.1"]
    instances = one(said, "includefield=all")
    assert sorted(instances.found("00080018")) == sorted([INSTANCE, f"{SERIES}.2"])
    assert instances.found("00080070") == ["GE MEDICAL SYSTEMS"] * 2


def check_retrieve(said: dict[str, Said], home: Path) -> None:
    stored = one(said, "-o retrieved.dcm")
    assert stored.answer("application/dicom; transfer-syntax=1.2.840.10008.1.2.1") == ""
    assert (home / "retrieved.dcm").read_bytes() == (home / "image.dcm").read_bytes()
    metadata = one(said, "/metadata")
    assert sorted(metadata.found("00080018")) == sorted([INSTANCE, f"{SERIES}.2"])
    assert metadata.found("00280010") == [128, 128]


def check_pictures(said: dict[str, Said], home: Path) -> None:
    one(said, "-o image.jpg").answer("image/jpeg")
    picture = imagecodecs.jpeg_decode((home / "image.jpg").read_bytes())
    assert picture.shape[:2] == (600, 600)
    # The window of 400 at 40 begins at -160.
    shades = [int(picture[300, column].flat[0]) for column in (90, 280, 500)]
    assert shades == pytest.approx([255 * 60 / 399, 127.5, 255], abs=3)
    one(said, "-o small.jpg").answer("image/jpeg")
    assert imagecodecs.jpeg_decode((home / "small.jpg").read_bytes()).shape[:2] == (128, 128)


def check_other_addresses(said: dict[str, Said], home: Path) -> None:
    one(said, "-o picture.jpg").answer("image/jpeg")
    assert imagecodecs.jpeg_decode((home / "picture.jpg").read_bytes()).shape[:2] == (300, 300)
    described = json.loads(one(said, "-X OPTIONS").answer("application/json"))
    assert "studies/{study}/metadata" in [resource["path"] for resource in described["resources"]]


def check_delete(said: dict[str, Said]) -> None:
    """That nothing of the study is left in the end, ``GONE`` has seen."""
    instance, study = [each for command, each in said.items() if "DELETE" in command]
    assert json.loads(instance.answer(JSON)) == {}
    assert re.search(r"/datasets/hospital/operations/\d+$", json.loads(study.answer(JSON))["name"])


@pytest.mark.slow
def test_every_sample_of_the_page(tmp_path: Path) -> None:
    said = run(home(tmp_path))
    # A sample that is added to the page needs an assertion here.
    assert [command.split()[0].partition("=")[0] for command in said] == [
        "gantry", "gantry", "gantry", "STORE", "curl", "python", "STUDY", "SERIES", "INSTANCE", *["curl"] * 11,
    ]  # fmt: skip
    check_store(said)
    check_python(said)
    check_search(said)
    check_retrieve(said, tmp_path)
    check_pictures(said, tmp_path)
    check_other_addresses(said, tmp_path)
    check_delete(said)
