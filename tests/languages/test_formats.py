"""Numbers, sizes, dates and durations in each language."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from gantry.console.charts import Point, draw_line_chart
from gantry.console.formats import abbreviate, day, decimal, dicom_day, duration, elapsed, number, size, when
from gantry.console.plurals import counted
from gantry.console.rendering import class_name, title_of
from gantry.console.rows import Row
from gantry.console.searches import describe_query
from gantry.errors import NotFound
from gantry.languages import use_language

TAGS = ("en", "pt-BR", "fr")


def plain(text: Any) -> str:
    """With ordinary spaces: French groups digits by narrow ones that do not break."""
    return str(text).replace("\u202f", " ").replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("write", "value", "texts"),
    [
        (number, 1234567.4, ("1,234,567", "1.234.567", "1 234 567")),
        (number, -1200, ("-1,200", "-1.200", "-1 200")),
        (decimal, 0.25, ("0.2", "0,2", "0,2")),
        (abbreviate, 1500, ("1.5k", "1,5k", "1,5k")),
        (abbreviate, 12345678, ("12.3M", "12,3M", "12,3M")),
        (size, 1, ("1 byte", "1 byte", "1 octet")),
        (size, 0, ("0 bytes", "0 byte", "0 octet")),
        (size, 1023, ("1,023 bytes", "1.023 bytes", "1 023 octets")),
        (size, 1536, ("1.5 KiB", "1,5 KiB", "1,5 Kio")),
        (size, 5 << 30, ("5.0 GiB", "5,0 GiB", "5,0 Gio")),
        (size, 3 << 60, ("3,072.0 PiB", "3.072,0 PiB", "3 072,0 Pio")),
        (day, date(2004, 1, 31), ("2004-01-31", "31/01/2004", "31/01/2004")),
        (dicom_day, "20040131", ("2004-01-31", "31/01/2004", "31/01/2004")),
        (dicom_day, "20049931", ("2004-99-31", "2004-99-31", "2004-99-31")),
        (dicom_day, "2004", ("2004", "2004", "2004")),
        (duration, 9.94, ("9.9 s", "9,9 s", "9,9 s")),
        (duration, 61, ("1 min 1 s", "1 min 1 s", "1 min 1 s")),
        (duration, 90_000, ("1 d 1 h", "1 d 1 h", "1 j 1 h")),
        (elapsed, 120_000, ("33.3 h", "33,3 h", "33,3 h")),
        (lambda count: counted(count, "study"), 0, ("0 studies", "0 estudo", "0 étude")),
        (lambda count: counted(count, "study"), 1204, ("1,204 studies", "1.204 estudos", "1 204 études")),
        (class_name, "STANDARD", ("Standard", "Standard", "Standard")),
        (class_name, "OF_A_NEWER_VERSION", ("OF_A_NEWER_VERSION",) * 3),
        (title_of, NotFound("x"), ("Not found", "Não encontrado", "Introuvable")),
        (lambda found: Row(found).name, {}, ("(no name)", "(sem nome)", "(sans nom)")),
        (describe_query, "PatientID=7", ("Patient ID: 7", "ID do paciente: 7", "ID du patient: 7")),
    ],
)
def test_in_each_language(write: Callable[[Any], object], value: object, texts: tuple[str, str, str]) -> None:
    found = []
    for tag in TAGS:
        with use_language(tag):
            found.append(plain(write(value)))
    assert tuple(found) == texts


@pytest.mark.parametrize(
    ("tag", "shown"),
    [("en", "2026-11-25 16:41:07 UTC"), ("pt-BR", "25/11/2026 16:41:07 UTC"), ("fr", "25/11/2026 16:41:07 UTC")],
)
def test_a_time_has_its_zone(tag: str, shown: str) -> None:
    with use_language(tag):
        made = when(datetime(2026, 11, 25, 16, 41, 7, 5, UTC))
    assert made == f'<time datetime="2026-11-25T16:41:07.000005+00:00">{shown}</time>'


def test_a_chart_speaks_the_language() -> None:
    with use_language("pt-BR"):
        chart = plain(draw_line_chart([Point(0, 0), Point(86_400, 1500)], "Instâncias"))
    assert 'aria-label="Instâncias: de 0 a 1.500, no máximo 1.500"' in chart
    assert ">01/01/1970<" in chart and ">02/01/1970<" in chart and ">2k<" in chart
