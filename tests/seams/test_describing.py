"""What the index keeps of headers: attributes as searches need them, and packs."""

from __future__ import annotations

import pytest

from gantry import describing
from gantry.describing import describe, describe_header
from gantry.header_packs import FEW_ITEMS, PACK_ITEMS, SHARED_ITEMS, unpack
from gantry.ingest import Held, Read, identify
from gantry.resources import HeaderAttributes, Instance
from tests.dicomweb.instances import instance


def read(study: str, series: str, number: int, **attributes: object) -> Read:
    data = instance((study, series, f"{series}.{number}"), InstanceNumber=number, **attributes)
    return identify(Held(data), f"k{number}", len(data), "STANDARD", "r")


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_dates_and_times_are_kept_as_searches_compare_them() -> None:
    """ACR-NEMA wrote them with separators (PS3.5 §6.2)."""
    item = read(
        "1", "1.1", 1, StudyDate="1999.01.02", StudyTime="10:11:12", PerformedProcedureStepStartDate="1999.01.03"
    )
    assert item.header_bytes is not None
    said = describe_header(item.header_bytes)
    assert (said.study.study_date, said.study.study_time, said.series.start_date) == ("19990102", "101112", "19990103")


def packs_of(items: list[Read]) -> list[list[int]]:
    """Numbers of instances by pack, in the order of the packs; each header is in its place."""
    found: dict[bytes, list[int]] = {}
    for item, outcome in zip(items, describe(items), strict=True):
        assert isinstance(outcome, Instance) and outcome.description is not None and item.header_bytes is not None
        kept = outcome.description
        assert unpack(kept.pack)[kept.number] == item.header_bytes.to_bytes() and kept.packed == len(unpack(kept.pack))
        found.setdefault(kept.pack, []).append(outcome.description.instance_number or 0)
    return list(found.values())


def test_a_series_has_packs_of_its_own_and_small_studies_share_them() -> None:
    many = [read("1", "1.1", number) for number in range(1, PACK_ITEMS + 2)]
    assert packs_of(many) == [list(range(1, PACK_ITEMS + 1)), [PACK_ITEMS + 1]]
    few = [read(f"2.{number}", f"2.{number}.1", number) for number in range(1, SHARED_ITEMS + 2)]
    assert packs_of(few) == [list(range(1, SHARED_ITEMS + 1)), [SHARED_ITEMS + 1]]
    both = [read("1", f"1.{number % 2}", number) for number in range(1, FEW_ITEMS + 1)]
    assert len(packs_of(both)) == 1
    assert len(packs_of([*both, read("1", "1.3", FEW_ITEMS + 1)])) == 3


@pytest.mark.parametrize(("less", "packs"), [(0, [[1, 2], [3]]), (1, [[1], [2], [3]])])
def test_a_pack_has_so_many_bytes_at_most(monkeypatch: pytest.MonkeyPatch, less: int, packs: list[list[int]]) -> None:
    """As many as two of the headers have together, or one less."""
    items = [read("1", "1.1", number) for number in (1, 2, 3)]
    (size,) = {len(item.header_bytes.to_bytes()) for item in items if item.header_bytes is not None}
    monkeypatch.setattr(describing, "SHARED_BYTES", 2 * size - less)
    assert packs_of(items) == packs


def test_a_header_that_is_too_long_to_be_kept_has_a_description_without_a_pack() -> None:
    """It says what was read of it; what counts as its size is that of its UIDs. Those beside it have theirs."""
    first, long, last = (read("1", "1.1", number, PatientID=f"P{number}") for number in (1, 2, 3))
    assert long.header_bytes is not None and first.header_bytes is not None
    long = Read(long.instance, long.header, None, describe_header(long.header_bytes))
    found = [item.description for item in describe([first, long, last]) if isinstance(item, Instance)]
    assert [bool(each and each.pack) for each in found] == [True, False, True]
    assert [each.size for each in found if each] == [
        *(len(first.header_bytes.meta) + len(first.header_bytes.body), long.instance.uids_size),
        len(first.header_bytes.meta) + len(first.header_bytes.body),
    ]
    (alone,) = (item.description for item in describe([long]) if isinstance(item, Instance))
    assert alone is not None and (alone.pack, alone.study.patient_id) == (b"", "P2")


def test_a_mistake_about_attributes_costs_no_instance(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is found by its UIDs, and the log says why it has nothing else."""

    def fail(*_: object) -> HeaderAttributes:
        raise ZeroDivisionError("a mistake")

    item = read("1", "1.1", 1)
    assert item.header_bytes is not None
    monkeypatch.setattr(describing, "read_attributes", fail)
    assert describe_header(item.header_bytes) == HeaderAttributes()
    assert "the attributes of a header cannot be read" in caplog.text and "a mistake" in caplog.text
