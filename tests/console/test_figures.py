"""Figures that say what is known, and no more."""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise

from gantry.console.stores import draw_growth, list_days
from gantry.resources import Growth
from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.web import Web

TODAY = date(1970, 1, 20)


def test_growth_stands_in_steps() -> None:
    grown = [Growth(day, each, 10, 1) for day in (3, 5, 9) for each in ("ARCHIVE", "STANDARD")]
    days = list_days(grown)
    assert [(each.day.day, each.change, each.total) for each in days] == [(4, 20, 20), (6, 20, 40), (10, 20, 60)]
    chart = str(draw_growth(days, TODAY))
    line = re.findall(r'class="line" d="([^"]+)"', chart)[0]
    places = [tuple(map(float, place.split())) for place in re.split("[ML]", line) if place.strip()]
    steps = pairwise(places)
    assert all(x == other or y == beside for (x, y), (other, beside) in steps), "no ramp"
    assert "from 0 to 60" in chart


def test_two_days_are_no_chart() -> None:
    assert draw_growth(list_days([Growth(3, "STANDARD", 1, 1), Growth(4, "STANDARD", 1, 1)]), TODAY) == ""


def test_every_modality_is_there(gantry: Gantry) -> None:
    kinds = [f"M{number:02d}" for number in range(23)]
    Web(gantry).stored(
        *(instance((f"1.2.{n}", f"1.2.{n}.1", f"1.2.{n}.1.1"), Modality=kind) for n, kind in enumerate(kinds, 1))
    )
    page = gantry.request("GET", f"console/{gantry.store}").text
    assert sorted(set(re.findall(r"ModalitiesInStudy=(\w+)", page))) == kinds and "Show 3 more" in page


def test_the_studies_of_a_patient_follow_each_other(gantry: Gantry) -> None:
    days = {"1.2.1": "20240101", "1.2.2": "20240201", "1.2.3": "20240301"}
    stored = [
        instance((uid, f"{uid}.1", f"{uid}.1.1"), PatientID="P1", StudyDate=day, PatientName="Doe^Jane")
        for uid, day in days.items()
    ]
    Web(gantry).stored(*stored, instance(("1.2.9", "1.2.9.1", "1.2.9.1.1"), PatientID="P10"))
    page = gantry.request("GET", f"console/{gantry.store}/studies/1.2.2").text
    assert 'studies/1.2.1">← Previous study' in page and 'studies/1.2.3">Next study →' in page
    (query,) = re.findall(r'studies\?([^"]+)">All studies of this patient \(3\)', page)
    listed = gantry.request("GET", f"console/{gantry.store}/studies?{query}").text
    assert set(re.findall(r'name="study" value="([\d.]+)"', listed)) == set(days)
    alone = gantry.request("GET", f"console/{gantry.store}/studies/1.2.9").text
    assert "Previous study" not in alone and "All studies" not in alone
