"""docs/howto/moving-50-million.md: its commands, run by a shell, prove what they say they prove."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.docs.test_howto import PREPARE, commands, home
from tests.docs.test_readme import ROOT, shell

__all__ = ["home"]
_PAGE = (ROOT / "docs" / "howto" / "moving-50-million.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_command_works_and_the_tables_are_complete(home: Path) -> None:
    (home / "buckets" / "incoming" / "other").mkdir()
    (home / "buckets" / "incoming" / "other" / "c.dcm").write_bytes(b"this is no DICOM file")
    blocks = commands("moving-50-million.md")
    again = blocks[1]  # batches that have a result are left out
    done = shell(PREPARE + "".join([*blocks[:2], again, *blocks[2:]]), home, seconds=500)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((home / "batches.csv").open()))
    counts = {(int(row["success"]), int(row["failure"]), int(row["pending"])) for row in rows}
    assert counts == {(2, 0, 0), (0, 1, 0)} and len(rows) == 2
    (failed,) = csv.DictReader((home / "failed.csv").open())
    assert (failed["object"], failed["reason"]) == ("gs://incoming/other/c.dcm", "NOT_DICOM")
    assert done.stdout.count("batch 2: exit code") == 1
    assert "nothing is wrong" in done.stdout
    exported = {path.read_bytes() for path in (home / "buckets" / "incoming" / "exported").rglob("*.dcm")}
    assert exported == {(home / "buckets" / "incoming" / "d" / "a.dcm").read_bytes()}


def test_its_arithmetic() -> None:
    millions = 50
    assert f"| {millions * 0.4:.0f} GB |" in _PAGE and f"| {millions * 0.8:.0f} GB |" in _PAGE
    assert f"| {millions * 0.5:.0f} TB |" in _PAGE
    hours = {
        "7.7 hours": millions * 1e6 / 1800,
        "2.6 hours": millions * 1e6 / 5400,
        "19 hours": millions * 1e6 / 730,
        "37 hours": millions * 1e6 * 530e3 / 200e6,
        "35 hours": millions * 1e6 * 0.5e6 / 200e6,
    }
    for text, seconds in hours.items():
        assert text in _PAGE
        assert float(text.split()[0]) == pytest.approx(seconds / 3600, rel=0.02)
