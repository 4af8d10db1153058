"""Text in rendered pictures: ``annotation`` (PS3.18 §8.3.5.1.1)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gantry.dicom.annotations import annotate, fold_text
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.views import View
from gantry.errors import NotAcceptable, NotFound, Replaced
from gantry.names import DicomStoreName
from gantry.resources import StoredInstance
from gantry.studies import annotations, headers
from gantry.studies.headers import FoundHeader
from gantry.studies.render import render_images
from tests.dicomweb.instances import instance
from tests.dicomweb.test_rendered_parts import PNG, STUDY, A, strict
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.web import Web, parts_of, uid_path

__all__ = ["strict"]

PATIENT = {"PatientName": "Doe^John", "PatientID": "P1", "PatientBirthDate": "19700102", "PatientSex": "M"}
TECHNIQUE = {"Modality": "CT", "StudyDate": "20240131", "InstanceNumber": "7", "KVP": "120", "SliceThickness": "2.5"}
PATIENT_LINES = ["Doe, John", "ID: P1", "Born: 1970-01-02", "Sex: M"]
TECHNIQUE_LINES = ["CT", "Study: 2024-01-31", "Image: 7", "Thickness: 2.5 mm", "120 kVp"]
GREY = np.full((256, 256), 128, np.uint8)
RENDERED = f"{uid_path(*A)}/rendered"


def grey(**more: object) -> bytes:
    window = {"WindowCenter": "128", "WindowWidth": "256"}
    return instance(A, Rows=256, Columns=256, PixelData=GREY.tobytes(), **window, **PATIENT, **TECHNIQUE, **more)


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    made.stored(grey())
    return made


def shown(web: Web, path: str = RENDERED, **parameters: str) -> np.ndarray:
    response = web.get(path, "image/png", params=parameters)
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(BytesIO(response.content)))


@pytest.mark.parametrize(
    ("wanted", "above", "below"),
    [
        ("patient", PATIENT_LINES, []),
        ("technique", [], TECHNIQUE_LINES),
        ("patient,technique", PATIENT_LINES, TECHNIQUE_LINES),
        ("technique, patient", PATIENT_LINES, TECHNIQUE_LINES),
    ],
)
def test_what_the_data_set_says_is_drawn(web: Web, wanted: str, above: list[str], below: list[str]) -> None:
    plain, text = shown(web), shown(web, annotation=wanted)
    assert np.array_equal(text, annotate(plain, above, below))
    changed = (text != plain).any(axis=1)
    assert (changed[:128].any(), changed[128:].any()) == (bool(above), bool(below))


def test_what_the_data_set_does_not_say_is_not_drawn(gantry: Gantry) -> None:
    web = Web(gantry)
    web.stored(instance(A, Rows=256, Columns=256, PixelData=GREY.tobytes(), Modality=""))
    assert np.array_equal(shown(web, annotation="technique"), shown(web))
    assert np.array_equal(shown(web, annotation="patient"), annotate(shown(web), ["Doe, John", "ID: P1"], []))


@pytest.mark.parametrize(
    ("name", "charset", "line"),
    [
        ("Gonçalves^João^^Dr", "ISO_IR 100", "Goncalves, Dr Joao"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "\\ISO 2022 IR 87", "Yamada, Tarou"),
        ("A^B^C^Dr^MD^more", "ISO_IR 192", "A, Dr B C MD more"),
        ("Who^What?", "ISO_IR 192", "Who, What?"),
        ("Sørensen^Åse", "ISO_IR 192", "Sorensen, Ase"),
        ("Only", "ISO_IR 192", "Only"),
        ("Only", "", "Only"),
        ("Müller^É", "\\ISO 2022 IR 100", "Muller, E"),
    ],
)
def test_names(gantry: Gantry, name: str, charset: str, line: str) -> None:
    """The family name and the others, in the letters that can be drawn."""
    web = Web(gantry)
    kind = {"Rows": 256, "Columns": 256, "PixelData": GREY.tobytes()}
    web.stored(instance(A, charset=charset, PatientName=name, PatientID="", **kind))
    assert np.array_equal(shown(web, annotation="patient"), annotate(shown(web), [line], []))


def test_letters_that_are_drawn() -> None:
    assert fold_text("Ação Łódź ß œ Ğ") == "Acao Lodz ss oe G"
    assert fold_text("日本 א\n\u202e") == "?? ???"


def test_text_can_be_read_on_black_and_on_white() -> None:
    for level in (0, 128, 255):
        made = annotate(np.full((200, 200), level, np.uint8), ["Doe"], [])
        assert made.min() == 0 and made.max() > 240
        colour = annotate(np.full((200, 200, 3), level, np.uint8), ["Doe"], [])
        assert np.array_equal(colour[:, :, 1], made)


@pytest.mark.parametrize("side", [16, 40, 64, 128, 512, 2000])
def test_lines_that_do_not_fit_are_left_out_whole(side: int) -> None:
    """Letters never touch the edge of the picture, and lines never each other."""
    lines = ["CT", "A series that is far too long for a small picture, and for any thumbnail"]
    made = annotate(np.zeros((side, side), np.uint8), [], lines + [f"line {number}" for number in range(20)])
    assert not made[0].any() and not made[-1].any() and not made[:, 0].any() and not made[:, -1].any()
    assert made.any() == (side > 40 or bool(annotate(np.zeros((side, side), np.uint8), [], ["CT"]).any()))
    assert not annotate(np.zeros((8, 8), np.uint8), [], ["CT"]).any()


LONG = "Abrahamson-Featherstonehaugh, Wilhelmina Josephine"
BLACK = np.zeros((128, 128), np.uint8)


def test_a_long_name_is_continued_on_the_next_line() -> None:
    """None of its words is lost, and the lines below it are there as well."""
    made = annotate(BLACK, [LONG, "ID: X1"], [])
    parts = ["Abrahamson-", "  Featherstonehaugh,", "  Wilhelmina Josephine", "ID: X1"]
    assert np.array_equal(made, annotate(BLACK, parts, []))
    assert not made[:, -1].any()


@pytest.mark.parametrize(
    ("lines", "attribute"),
    [
        (["Doe", "ID: " + "1234 " * 8], "PatientID"),
        (["Doe", "ID: " + "12-34-" * 8], "PatientID"),
        (["A" * 60], "PatientName"),
        (["A" * 201], "PatientName"),
        (["word " * 39, "ID: 1", "Sex: F"], "patient"),
        (["Петров"], "PatientName"),
        (["Doe=山田"], "PatientName"),
        (["Doe \ufffd"], "PatientName"),
        (["\u0301"], "PatientName"),
        (["Doe", "ID: Ж1"], "PatientID"),
        (["Doe", "ID: é1"], "PatientID"),
        (["Doe", "ID: 1²"], "PatientID"),
        (["Doe", "Sex: ♀"], "PatientSex"),
        ([f"line {number}" for number in range(20)], "patient"),
    ],
)
def test_an_identity_that_cannot_be_drawn_as_it_is_is_refused(lines: list[str], attribute: str) -> None:
    """A part of an ID, or one in other letters, is that of somebody else."""
    with pytest.raises(NotAcceptable, match=attribute):
        annotate(BLACK, lines, [])


@pytest.mark.parametrize(
    ("values", "parameters", "why"),
    [
        ({"PatientName": LONG}, {"viewport": "40,40"}, "does not fit"),
        ({"PatientName": "Петров^Иван"}, {}, "PatientName"),
        ({"PatientID": "Ж1"}, {}, "PatientID"),
        ({"PatientName": "=山田^太郎", "PatientID": ""}, {}, "PatientName"),
        ({"PatientName": "", "PatientID": ""}, {}, "neither PatientName nor PatientID"),
        ({"PatientName": None, "PatientID": None, "PatientBirthDate": "19700102"}, {}, "neither"),
        ({"PatientName": "^^", "PatientID": ""}, {}, "neither"),
    ],
)
def test_a_picture_never_lacks_the_identity_that_was_asked_for(
    gantry: Gantry, values: dict[str, object], parameters: dict[str, str], why: str
) -> None:
    web = Web(gantry)
    web.stored(instance(A, Rows=256, Columns=256, PixelData=GREY.tobytes(), **values))
    for accept in ("image/png", "image/jpeg", PNG):
        response = web.get(RENDERED, accept, params={"annotation": "patient,technique", **parameters})
        assert response.status_code == 406 and why in response.text
        assert web.get(RENDERED, accept, params=parameters).status_code == 200
    other = (STUDY, f"{STUDY}.8", f"{STUDY}.8.1")
    web.stored(instance(other, Rows=256, Columns=256, PixelData=GREY.tobytes(), PatientName="D"))
    response = web.get(f"{uid_path(STUDY)}/rendered", PNG, params={"annotation": "patient", **parameters})
    assert len(parts_of(response)) == 1 and A[2] in response.headers["warning"]


@pytest.mark.parametrize("charset", ["          ", "ISO_IR 6  ", "ISO_IR 999", "KOI8-X    "])
def test_letters_of_no_known_character_set_are_no_name(gantry: Gantry, charset: str) -> None:
    """Bytes of Cyrillic letters would be drawn as other, Latin ones."""
    web = Web(gantry)
    kind = {"Rows": 256, "Columns": 256, "PixelData": GREY.tobytes()}
    data = instance(A, charset="ISO_IR 144", PatientName="Петров", **kind)
    web.stored(data.replace(b"ISO_IR 144", charset.encode()))
    response = web.get(RENDERED, "image/png", params={"annotation": "patient"})
    assert response.status_code == 406 and "SpecificCharacterSet" in response.text


def test_an_id_of_several_values_is_drawn_as_it_is_stored(gantry: Gantry) -> None:
    web = Web(gantry)
    web.stored(instance(A, Rows=256, Columns=256, PixelData=GREY.tobytes(), PatientID=["1", "2", "", "4"]))
    assert np.array_equal(shown(web, annotation="patient"), annotate(shown(web), ["Doe, John", "ID: 1\\2\\\\4"], []))


OLD = StoredInstance(*A, "1.2", "1.2.840.10008.1.2.1", "old", 9, "STANDARD", 1, 1, 1, None, 4, 4, 8, 1, 0)
NEW = OLD._replace(blob_key="new", pack_id=2)
MOVED = OLD._replace(blob_key="moved", storage_class="ARCHIVE")
STORE = DicomStoreName("p", "us-central1", "d", "s")


class Executor:
    """Renders what it is given as the key of its bytes and the text on it. What was ``swept`` is gone."""

    def __init__(self, swept: str) -> None:
        self.swept = swept

    def submit(self, _: object, blob_key: str, *, view: View, **__: object) -> Future[list[bytes]]:
        made: Future[list[bytes]] = Future()
        if blob_key == self.swept:
            made.set_exception(NotFound("gone"))
        else:
            made.set_result([f"{blob_key} {view.texts[0]}".encode()])
        return made


def render_while(
    now: StoredInstance, monkeypatch: pytest.MonkeyPatch, header_of: StoredInstance, swept: str
) -> list[bytes]:
    """A picture of the row OLD with the patient on it, while the index already has ``now``."""

    def read(*_: object) -> Iterator[FoundHeader]:
        yield FoundHeader(header_of, HeaderBytes(b"", b"", (), True, True))

    found = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": header_of.blob_key}]}}
    monkeypatch.setattr(headers, "read_headers", read)
    monkeypatch.setattr(annotations, "_read_members", lambda _: found)
    index = SimpleNamespace(instances=SimpleNamespace(list_below=lambda *_: iter([now])))
    seams: Any = SimpleNamespace(index=index, pixels=Executor(swept), blobs=None)
    return list(render_images(seams, STORE, OLD, View("image/png", annotations=("patient",)), [0]))


def test_the_old_name_is_never_on_new_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor the new name on old ones, where an instance is replaced while it is rendered."""
    for header_of, swept in ((OLD, "old"), (NEW, "old"), (NEW, "")):
        with pytest.raises(Replaced):
            render_while(NEW, monkeypatch, header_of, swept)
    assert render_while(OLD, monkeypatch, OLD, "") == [b"old ('old',)"]
    assert render_while(MOVED, monkeypatch, MOVED, "old") == [b"moved ('moved',)"]


def test_text_grows_with_the_picture(web: Web) -> None:
    heights = []
    for side in ("128,128", "1024,1024"):
        plain, text = (shown(web, viewport=side, **more) for more in ({}, {"annotation": "patient"}))
        heights.append(int((text != plain).any(axis=1).nonzero()[0].max()))
    assert heights[1] > 2 * heights[0]


def test_frames_and_thumbnails_have_it_too(gantry: Gantry) -> None:
    web = Web(gantry)
    frames = GREY.tobytes() * 2
    kind = {"Rows": 256, "Columns": 256, "NumberOfFrames": "2", "PixelData": frames, "PatientName": "Doe"}
    web.stored(instance(A, PatientID="", Modality="US", **kind))
    text = shown(web, f"{uid_path(*A)}/frames/2/rendered", annotation="patient,technique")
    assert np.array_equal(
        text, annotate(shown(web, f"{uid_path(*A)}/frames/2/rendered"), ["Doe"], ["US", "Frame: 2/2"])
    )
    for path in (uid_path(STUDY), uid_path(*A)):
        small = shown(web, f"{path}/thumbnail", annotation="patient")
        assert np.array_equal(small, annotate(shown(web, f"{path}/thumbnail"), ["Doe"], []))


def test_every_picture_of_a_study_has_its_own(gantry: Gantry) -> None:
    web = Web(gantry)
    for number in (1, 2):
        uids = (STUDY, f"{STUDY}.{number}", f"{STUDY}.{number}.1")
        web.stored(instance(uids, Rows=256, Columns=256, PixelData=GREY.tobytes(), Modality=f"M{number}"))
    found = parts_of(web.get(f"{uid_path(STUDY)}/rendered", PNG, params={"annotation": "technique"}))
    plain = parts_of(web.get(f"{uid_path(STUDY)}/rendered", PNG))
    for number, (text, without) in enumerate(zip(found, plain, strict=True), 1):
        pictures = [np.asarray(Image.open(BytesIO(part.data))) for part in (text, without)]
        assert np.array_equal(pictures[0], annotate(pictures[1], [], [f"M{number}"]))


@pytest.mark.parametrize("path", [RENDERED, f"{uid_path(STUDY)}/rendered"])
def test_unknown_words_are_left_out_with_a_warning(web: Web, path: str) -> None:
    response = web.get(path, params={"annotation": "patient,weather,tides"})
    assert response.status_code == 200
    text = "The following annotation values are not supported: weather, tides"
    assert response.headers["warning"] == f'299 gantry "{text}"'
    assert response.content != web.get(path).content
    assert "warning" not in web.get(path, params={"annotation": "patient"}).headers


@pytest.mark.parametrize("text", ["", ",", "patient,", "pat ient", "<b>", "1"])
def test_what_is_no_list_of_words_is_refused(web: Web, text: str) -> None:
    refused(web.get(RENDERED, params={"annotation": text}), "INVALID_ARGUMENT", "annotation")


def test_it_counts_in_the_entity_tag(web: Web) -> None:
    tags = {
        web.get(RENDERED, params={"annotation": text} if text else {}).headers["etag"]
        for text in ("", "patient", "technique", "patient,technique")
    }
    assert len(tags) == 4


@pytest.mark.slow
def test_a_strict_server_draws_nothing(strict: Web) -> None:
    for name, text in (("annotation", "patient"), ("annotation", ""), ("iccprofile", "srgb"), ("iccprofile", "x")):
        response = strict.get(RENDERED, "image/png", params={name: text})
        assert response.content == strict.get(RENDERED, "image/png").content
        assert "warning" not in response.headers
