"""``mimeType`` values of the export (§7.1), and that what they promise is what the codecs can do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gantry.dicom import forms
from gantry.dicom.forms import Form, parse_form
from gantry.errors import InvalidArgument

BASE = "1.2.840.10008.1.2"
DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance-pixels.md"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("application/dicom", Form("application/dicom", "")),
        ("application/dicom; transfer-syntax=*", Form("application/dicom", "")),
        (f"application/dicom; transfer-syntax={BASE}.1", Form("application/dicom", f"{BASE}.1")),
        (f'Application/DICOM ;Transfer-Syntax = "{BASE}.4.80" ', Form("application/dicom", f"{BASE}.4.80")),
        (f"application/dicom;transfer-syntax={BASE}", Form("application/dicom", BASE)),
        ("application/octet-stream", Form("application/octet-stream", f"{BASE}.1")),
        (f"application/octet-stream; transfer-syntax={BASE}.1", Form("application/octet-stream", f"{BASE}.1")),
        ("application/octet-stream; transfer-syntax=*", Form("application/octet-stream", "")),
        ("image/jpeg", Form("image/jpeg", f"{BASE}.4.50")),
        (f"image/jpeg; transfer-syntax={BASE}.4.50", Form("image/jpeg", f"{BASE}.4.50")),
        (" IMAGE/PNG ", Form("image/png", "")),
        ("image/png;", Form("image/png", "")),
    ],
)
def test_what_can_be_asked_for(text: str, form: Form) -> None:
    assert parse_form(text) == form


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "image/png"),
        ("image/gif", "application/dicom"),
        (f"image/jpeg; transfer-syntax={BASE}.4.70", f"{BASE}.4.50"),
        (f"image/png; transfer-syntax={BASE}.1", "no transfer-syntax"),
        (f"application/octet-stream; transfer-syntax={BASE}", f"{BASE}.1"),
        (f"application/dicom; transfer-syntax={BASE}.2", f"{BASE}.4.90"),
        ("application/dicom; transfer-syntax=", f"{BASE}.4.90"),
        ("application/dicom; charset=utf-8", "charset"),
        (f"application/dicom; transfer-syntax={BASE}.1; transfer-syntax={BASE}", "other than"),
        (f'application/dicom; transfer-syntax="{BASE}.1', "other than"),
    ],
)
def test_what_cannot_names_the_field_and_what_works(text: str, named: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_form(text)
    assert caught.value.message.startswith("gcsDestination.mimeType: ")
    assert named in caught.value.message


def test_every_syntax_of_the_table_is_here_with_a_codec() -> None:
    pytest.importorskip("numpy", reason="NOT TESTED: the codecs are not installed")
    from gantry.dicom.codecs import DECODERS
    from gantry.dicom.encoders import ENCODERS

    assert set(forms.ENCODED_TARGETS) == set(ENCODERS) == set(DECODERS)
    numbers = (*(50, 51, 57, 70, 80, 81, 90, 91), *(110, 111, 112), *(201, 202, 203))
    table = {BASE, f"{BASE}.1", f"{BASE}.1.99", f"{BASE}.5", f"{BASE}.8.1", *(f"{BASE}.4.{n}" for n in numbers)}
    assert set(forms.PRODUCIBLE) == table


def test_the_document_has_a_row_for_every_syntax() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [uid for uid in forms.PRODUCIBLE if f"`{uid}`" not in text] == []


def test_parsing_a_form_loads_no_codec() -> None:
    code = """
import sys, gantry.dicom.forms, gantry.dicom.representations
print(*("numpy" in sys.modules, "pydicom" in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]
