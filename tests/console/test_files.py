"""Pages of every file that pydicom ships, good and bad: whatever a header says, it is shown."""

from __future__ import annotations

from pathlib import Path

import pydicom.data
import pytest

from tests.support.gantry import Gantry


@pytest.mark.slow
def test_every_study_series_and_instance_has_its_page(gantry: Gantry) -> None:
    root = Path(pydicom.data.__file__).parent / "test_files"
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.suffix not in (".py", ".pyc", ".zip") and path.stat().st_size < 1 << 20:
            gantry.put(gantry.bucket, f"all/{path.relative_to(root)}", path.read_bytes())
    gantry.import_("all/**")
    found = gantry.request("GET", f"v1/{gantry.store}/dicomWeb/instances?limit=5000").json()
    pages = set()
    for each in found:
        study, series, sop = (each[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
        at_series = f"studies/{study}/series/{series}"
        pages |= {f"studies/{study}", at_series, f"{at_series}/instances/{sop}"}
    assert len(pages) > 100
    wrong = [page for page in pages if gantry.request("GET", f"console/{gantry.store}/{page}").status_code != 200]
    assert wrong == []
