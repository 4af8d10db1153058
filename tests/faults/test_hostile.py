"""Objects made to do harm, among good ones: each fails alone, by name, and the good ones are in."""

from __future__ import annotations

import os
import struct

import pytest

from tests.support.dicom import element, make_instance
from tests.support.gantry import Gantry
from tests.support.server import counts

GOOD = make_instance("1.2.3", "1.2.3.4", "1.2.3.4.5")
PIXELS = GOOD.index(b"\xe0\x7f\x10\x00OW")
SEQUENCE = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)

HOSTILE = {
    "endless-sequence.dcm": GOOD[:PIXELS] + SEQUENCE + ITEM * 3,
    "nested-100000-times.dcm": GOOD[:PIXELS] + (SEQUENCE + ITEM) * 100_000,
    "pixels-of-3-gb.dcm": GOOD[:PIXELS] + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 3_000_000_000) + b"\0" * 64,
    "element-of-4-gb.dcm": GOOD[:PIXELS] + struct.pack("<HH2sHI", 0x0009, 0x1010, b"OB", 0, 0xFFFFFFFE),
    "cut.dcm": GOOD[:-3],
    "empty.dcm": b"",
    "uid-with-a-path.dcm": make_instance("1.2.3", "1.2.3.4", "../../../etc/passwd"),
    "uid-with-a-slash.dcm": make_instance("1/2", "1.2.3.4", "1.2.3"),
    "uid-too-long.dcm": make_instance("1.2.3", "1.2.3.4", "1." * 40 + "1"),
    "no-study.dcm": make_instance(None, "1.2.3.4", "1.2.3.9"),
    "two-studies.dcm": GOOD[:PIXELS] + element(0x0020, 0x000D, b"UI", "9.9.9") + GOOD[PIXELS:],
    "\x1b]0;title\x07bell.dcm": b"not DICOM",
    "line\nbreak.dcm": b"not DICOM",
    "<script>alert(1)<.dcm": b"not DICOM",
}


def test_each_hostile_object_fails_alone_and_by_name(gantry: Gantry) -> None:
    for number in range(40):
        gantry.put(gantry.bucket, f"{number:02d}.dcm", make_instance("1.2", "1.2.3", f"1.2.3.{number}"))
    for key, data in HOSTILE.items():
        gantry.put(gantry.bucket, f"hostile/{key}", data)
    operation = gantry.import_("**")
    assert counts(operation) == (40, len(HOSTILE))
    failures = gantry.failures(operation)
    assert failures.keys() == {f"hostile/{key}" for key in HOSTILE}
    assert all(status["code"] == 3 and status["message"] for status in failures.values())
    assert len(gantry.stored()) == 40


def test_what_is_no_file_fails_by_name_and_blocks_nobody(gantry: Gantry) -> None:
    gantry.put(gantry.bucket, "good.dcm", GOOD)
    root = gantry.server.buckets / gantry.bucket
    os.mkfifo(root / "pipe.dcm")
    os.symlink("/etc/passwd", root / "link.dcm")
    os.symlink("..", root / "loop")
    (root / "empty-directory").mkdir()
    operation = gantry.import_("**")
    assert counts(operation) == (1, 3)
    failures = gantry.failures(operation)
    assert failures.keys() == {"pipe.dcm", "link.dcm", "loop"}
    assert "symbolic link" in failures["link.dcm"]["message"]


@pytest.mark.parametrize(
    "key", ["../other/x.dcm", "a/../../x.dcm", "./x.dcm", "/etc/passwd", "a//x.dcm", "x.dcm/", "loop/x.dcm"]
)
def test_no_key_leads_out_of_its_bucket(gantry: Gantry, key: str) -> None:
    gantry.make_bucket("other-" + gantry.bucket)
    gantry.put("other-" + gantry.bucket, "x.dcm", GOOD)
    os.symlink(f"../other-{gantry.bucket}", gantry.server.buckets / gantry.bucket / "loop")
    operation = gantry.import_(key.replace("other", f"other-{gantry.bucket}"))
    assert operation["error"]["code"] in (5, 7)
    assert counts(operation)[0] == 0
