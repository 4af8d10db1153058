"""What several instances say of one study: gaps are filled, contradictions are not mixed."""

from __future__ import annotations

import json

from gantry.merging import fill, fold, follow
from gantry.resources import SeriesAttributes, StudyAttributes

NAME = '"00100010":{"vr":"PN","Value":[{"Alphabetic":"Doe^John"}]}'
ID, NO_ID = '"00100020":{"vr":"LO","Value":["P1"]}', '"00100020":{"vr":"LO"}'
DATE = '"00080020":{"vr":"DA","Value":["20240105"]}'
CODES = '"00081032":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["a,\\"}b"]}}]}'


def study(*members: str, more: str = "", **columns: str) -> StudyAttributes:
    return StudyAttributes(members=",".join(members), more_members=more, **columns)


def test_what_is_missing_is_filled_in_the_order_of_tags() -> None:
    row = study(NAME, NO_ID, patient_name="Doe^John")
    said = study(DATE, NAME, ID, more=CODES, patient_name="Doe^John", patient_id="P1", study_date="20240105")
    assert fill(row, said) == said
    assert fill(StudyAttributes(), said) == said
    assert json.loads(f"{{{fill(row, said).more_members}}}")["00081032"]["Value"]


def test_what_is_there_stays() -> None:
    row = study(DATE, ID, study_date="20240105", patient_id="P1")
    said = study(DATE.replace("2024", "2030"), NO_ID, study_date="20300105")
    assert fill(row, said) == row
    assert fill(row, StudyAttributes()) == row


def test_two_patients_are_never_mixed() -> None:
    row = study(NAME, patient_name="Doe^John")
    other = study(NAME.replace("John", "Jane"), ID, patient_name="Doe^Jane", patient_id="P1")
    assert fill(row, other) == row
    assert fill(study(ID, patient_id="P1"), study(NAME, ID.replace("P1", "P2"), patient_id="P2")).members == ID


def test_of_a_series_too() -> None:
    assert fill(SeriesAttributes("CT"), SeriesAttributes("MR", "3")) == SeriesAttributes("CT", "3")


def test_the_first_that_says_something_counts() -> None:
    assert fold([SeriesAttributes(), SeriesAttributes("CT"), SeriesAttributes("MR", "3")]) == SeriesAttributes(
        "CT", "3"
    )
    assert fold(list[SeriesAttributes]()) is None


def test_numbers_of_any_length_and_texts_that_are_no_members_are_borne() -> None:
    number = f'"00200011":{{"vr":"IS","Value":[{"9" * 5000}]}}'
    row = SeriesAttributes(members=number)
    said = SeriesAttributes("CT", members='"00080060":{"vr":"CS","Value":["CT"]}')
    assert fill(row, said).members == f"{said.members},{number}"
    broken = SeriesAttributes(members='"00080060":{"vr":')
    assert fill(broken, SeriesAttributes("CT")) == broken._replace(modality="CT")


def test_a_row_follows_the_instance_that_it_is_by() -> None:
    before = study(NAME, patient_name="Doe^John")
    after = study(NAME.replace("John", "Jane"), patient_name="Doe^Jane")
    assert follow(before, before, after) == after
    assert follow(before, before, StudyAttributes()) == StudyAttributes()


def test_what_a_row_has_from_others_stays_when_it_follows() -> None:
    before = study(NAME, patient_name="Doe^John")
    after = study(NAME.replace("John", "Jane"), patient_name="Doe^Jane")
    row = fill(before, study(ID, patient_id="P1"))
    assert follow(row, before, after) == fill(after, study(ID, patient_id="P1"))
    assert follow(row, study(ID, patient_id="P1"), StudyAttributes()) == before


def test_a_row_by_another_instance_stays() -> None:
    row = study(DATE, NAME, patient_name="Doe^John", study_date="20240105")
    other = study(DATE, NAME.replace("John", "Ann"), patient_name="Doe^Ann", study_date="20240105")
    changed = study(DATE.replace("2024", "2030"), patient_name="Doe^Ann", study_date="20300105")
    assert follow(row, other, changed) == row
    assert follow(row, StudyAttributes(), study(NAME.replace("John", "Ann"), patient_name="Doe^Ann")) == row


def test_one_of_two_that_agree_has_been_followed_already() -> None:
    """The first to be changed says less of the study than the second one."""
    less, more = study(DATE, study_date="20240105"), study(DATE, NAME, study_date="20240105", patient_name="Doe^John")
    date, name = DATE.replace("2024", "2030"), NAME.replace("John", "Ann")
    row = follow(more, less, study(date, study_date="20300105"))
    after = study(date, name, study_date="20300105", patient_name="Doe^Ann")
    assert follow(row, more, after) == after
