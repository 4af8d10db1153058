"""Names keep their very bytes when an instance goes from one native transfer syntax to another (PS3.5 §7, §A.1)."""

from __future__ import annotations

from random import Random

import pytest
from tests.pixels.instances import Opened, image
from tests.support.dicom import element
from tests.support.scripts import SCRIPTS, Script

from gantry.dicom.forms import DICOM, EXPLICIT_LE, IMPLICIT_LE, Form
from gantry.dicom.representations import represent

NAMES = 20


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize("before, after", [(IMPLICIT_LE, EXPLICIT_LE), (EXPLICIT_LE, IMPLICIT_LE)])
@pytest.mark.parametrize("end", [b"", b"="], ids=["", "empty group"])
def test_names_keep_their_bytes_in_another_syntax(script: Script, before: str, after: str, end: bytes) -> None:
    random = Random(script.character_set)
    for _ in range(NAMES):
        name = script.bytes_of(script.name(random)) + end
        name += b" " * (len(name) % 2)
        extra = [(0x0008, 0x0005, b"CS", script.character_set), (0x0010, 0x0010, b"PN", name)]
        data = image(bytes(4), 2, 2, syntax=before, extra=extra)
        (part,) = represent(Opened(data), Form(DICOM, after), lambda: None)
        assert element(0x0010, 0x0010, b"PN", name, after == EXPLICIT_LE) in part.data, name
