"""Figures that say what is known, and no more."""

from __future__ import annotations

import re
from datetime import date
from io import BytesIO
from itertools import pairwise

import pydicom
import pytest

from gantry.console.stores import draw_growth, list_days
from gantry.resources import Growth
from tests.dicomweb.instances import instance, packaged
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


@pytest.mark.parametrize(("form", "files"), [("application/dicom", 2), ("image/png", 3)])
def test_an_export_says_how_many_files_it_has_written(gantry: Gantry, form: str, files: int) -> None:
    """A film of two frames and a single image: each frame is a file."""
    film = pydicom.dcmread(BytesIO(packaged("examples_rgb_color.dcm")))
    film.StudyInstanceUID, film.SeriesInstanceUID, film.SOPInstanceUID = "1.8.1", "1.8.1.1", "1.8.1.1.1"
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    film.NumberOfFrames, film.PixelData = 2, film.PixelData * 2
    held = BytesIO()
    film.save_as(held, enforce_file_format=True)
    image = pydicom.dcmread(BytesIO(packaged("CT_small.dcm")))
    image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = "1.8.2", "1.8.2.1", "1.8.2.1.1"
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    other = BytesIO()
    image.save_as(other, enforce_file_format=True)
    Web(gantry).stored(held.getvalue(), other.getvalue())
    body = {"gcsDestination": {"uriPrefix": f"gs://{gantry.out}/{files}", "mimeType": form}}
    name = gantry.wait(gantry.call("POST", f"v1/{gantry.store}:export", json=body)["name"])["name"]
    written = [each for each in (gantry.server.buckets / gantry.out / str(files)).rglob("*") if each.is_file()]
    assert len(written) == files
    page = gantry.request("GET", f"console/{name}").text
    tiles = dict(re.findall(r"<dt>([^<]+)</dt><dd[^>]*>([^<]+)</dd>", page))
    assert (tiles["Instances exported"], tiles["Files written"]) == ("2", str(files))
    listed = gantry.request("GET", f"console/{gantry.dataset}/operations").text
    assert ("3 files" in listed) is (files == 3)
