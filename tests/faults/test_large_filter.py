"""A filter file of a million lines: bounded memory, and still exactly the instances that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import GantryServer, counts


def memory(server: GantryServer) -> int:
    """Largest resident size of the server's main process so far, in bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_filter_file_with_a_million_lines_needs_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    try:
        gantry = Gantry(server)
        for number in range(100):
            gantry.put(
                gantry.bucket, f"{number}.dcm", make_instance(f"1.2.{number}", f"1.2.{number}.1", f"1.3.{number}")
            )
        gantry.import_("*.dcm")
        gantry.put(gantry.bucket, "small.txt", b"/studies/1.2.7\n")
        small = gantry.export("small", filterConfig={"resourcePathsGcsUri": f"gs://{gantry.bucket}/small.txt"})
        assert counts(small) == (1, 0)
        before = memory(server)
        with open(server.buckets / gantry.bucket / "large.txt", "w", encoding="ascii") as file:
            file.write("f0_\n")
            file.writelines(f'"/studies/1.2.{number}/series/1.2.{number}.1"\r\n' for number in range(999_990))
            file.write("not a path\n/studies/1.2.7\n")
        large = gantry.export("large", filterConfig={"resourcePathsGcsUri": f"gs://{gantry.bucket}/large.txt"})
        assert counts(large) == (100, 1)
        (sample,) = large["error"]["details"][0]["sampleErrors"]
        assert sample["resource"].endswith("/large.txt#line=999992")
        assert memory(server) - before < 96 << 20  # the lines as text would take more than 200 MB
        server.stop()
    finally:
        server.process.kill()
