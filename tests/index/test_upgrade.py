"""An index of the schema before this one, with rows in it, is brought up to date when it is opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import op
from sqlalchemy import create_engine, select, text

from gantry.counters import ProgressCounter, Transfer
from gantry.index.requests import list_requests, read_start_time
from gantry.index.retelling import series_said
from gantry.index.sql import SqlIndex
from gantry.index.tables import series, series_request
from gantry.matching import MAX_CODE
from gantry.names import OperationName, ResourcePath
from gantry.queries import Level, Operator
from gantry.resources import Batch, Method
from tests.faults.older import index_of_schema, upgrade_to
from tests.index.audit import audit
from tests.index.test_searching import query
from tests.index.values import RUNNER, STORE, item
from tests.support.postgresql import to_text

_ROWS = """
INSERT INTO dataset (id, project, location, dataset) VALUES (1, 'p', 'us-central1', 'd');
INSERT INTO dicom_store (id, dataset_id, store, settings) VALUES (1, 1, 's', '{}'), (2, 1, 't', '{}');
INSERT INTO study (id, store_id, study_instance_uid, series_count, instance_count, described_by)
    VALUES (1, 1, '1.2', 2, 4, 1), (2, 1, '1.3', 1, 1, 1), (3, 2, '1.2', 1, 1, 1);
INSERT INTO series (id, study_id, store_id, series_instance_uid, instance_count, blob_bytes, structured_bytes)
    VALUES (1, 1, 1, '5', 3, 60, 3), (2, 1, 1, '6', 1, 40, 1), (3, 2, 1, '5', 1, 50, 1), (4, 3, 2, '5', 1, 60, 1);
INSERT INTO instance (series_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, blob_key, size, storage_class,
    storage_class_update_time, create_time, structured_size, pack_number)
    SELECT column1, column2, '1', '1', 'b/' || column2, column3, column4, 0, 0, 1, -1 FROM (VALUES
    (1, '9.1', 10, 'STANDARD'), (1, '9.2', 20, 'ARCHIVE'), (1, '9.3', 30, 'STANDARD'), (2, '9.4', 40, 'ARCHIVE'),
    (3, '9.5', 50, 'STANDARD'), (4, '9.6', 60, 'NEARLINE'));
INSERT INTO tally VALUES (1, 'STANDARD', 0, 3, 90), (1, 'ARCHIVE', 0, 2, 60), (2, 'NEARLINE', 0, 1, 60),
    (9, 'STANDARD', 0, 1, 1);
INSERT INTO saved_search VALUES (9, 'a', 'x', '1'), (1, 'a', 'x', '1');
INSERT INTO operation (id, dataset_id, store_id, store, version, method, request, create_time, checkpoint)
    VALUES (7, 1, 1, '', 'v1', 'dicom.DicomService.ExportDicomData', '{}', 0, x'');
INSERT INTO progress VALUES (7, 1, 1), (8, 1, 1);
INSERT INTO failure (operation_id, seq, time, resource, code, message) VALUES (7, 1, 0, 'a', 3, 'b'),
    (8, 1, 0, 'a', 3, 'b');
INSERT INTO selection VALUES (7, 1, ''), (8, 1, '');
"""
_LEFT = {"progress": 1, "failure": 1, "selection": 1, "tally": 3, "saved_search": 1, "instance": 6, "series_tally": 5}


def test_rows_stay_and_those_that_belonged_to_nothing_go(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    with closing(index_of_schema(path, "0009")) as connection:
        connection.executescript(_ROWS)
    index = SqlIndex(f"sqlite:///{path}")
    with index.database.read() as read:
        audit(read)
        counts = {name: read.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() for name in _LEFT}
    assert counts == _LEFT
    index.deletion.delete_below(STORE, ResourcePath("1.2"), "v1", Method.DELETE_STUDY)
    with index.database.read() as read:
        audit(read)
    index.close()


def test_instances_keep_the_keys_of_their_blobs(tmp_path: Path) -> None:
    """Their own objects are no segments, also not where new ones come beside them."""
    path = tmp_path / "index.sqlite"
    with closing(index_of_schema(path, "0009")) as connection:
        connection.executescript(_ROWS)
        before = connection.execute("SELECT * FROM instance ORDER BY 1, 2").fetchall()
    index = SqlIndex(f"sqlite:///{path}")
    with index.database.read() as read:
        after = list(map(tuple, read.exec_driver_sql("SELECT * FROM instance ORDER BY 1, 2")))
    assert after == [(*row, None, None) for row in before]
    assert {row.blob_key for row in index.instances.walk_store(1)} == {f"b/9.{number}" for number in range(1, 6)}
    index.uploads.store_instances(1, [item(7, "1.2", "5")._replace(blob_key="main/1.seg@4096+107")])
    keys = {row.blob_key for row in index.instances.list_below(STORE, ResourcePath("1.2", "5"))}
    assert keys == {"b/9.1", "b/9.2", "b/9.3", "main/1.seg@4096+107"}
    index.deletion.delete_instance(STORE, ResourcePath("1.2", "5", "9.2"))
    assert index.garbage.list_blobs() == ["b/9.2"]
    index.close()


def test_segments_come_without_a_row_being_written_anew(tmp_path: Path) -> None:
    """However many instances there are, the same few pages of the file change."""
    changed = []
    for rows in (0, 10_000):
        path = tmp_path / f"{rows}.sqlite"
        with closing(index_of_schema(path, "0009")) as connection:
            connection.executescript(_ROWS)
            values = ((number,) for number in range(rows))
            connection.executemany(
                "INSERT INTO instance SELECT 1, '9.9.' || ?, '1', '1', 'b/' || ?1, 1, 'STANDARD', 0, 0, 1, 1, 1, 1, "
                "1, 1, 1, 1",
                values,
            )
            connection.commit()
        index_of_schema(path, "0010").close()
        before = path.read_bytes()
        index_of_schema(path, "0011").close()
        after = path.read_bytes()
        pages = range(0, len(before), 4096)
        changed.append(sum(before[at : at + 4096] != after[at : at + 4096] for at in pages))
    assert changed[0] == changed[1] < len(pages) / 10


_SAID = {  # of a series: members as older versions have written them → its time, and its requests
    "\x01\x02\x06\x07101112\x03+0000": ("101112", []),
    "\x01\x07": ("", []),
    '\x01\x02\x1e"00400245":{"vr":"TM","Value":["10","11"]}\x05': ("10\\11", []),
    '\x01\x0709\x1e"00400275":{"vr":"SQ","Value":[{"00400009":{"vr":"SH","Value":["S\\u00e91"]}},{}]}': (
        "09",
        [("Sé1", "")],
    ),
    '"00400245":{"vr":"TM","Value":["12"]},"00400275":{"vr":"SQ","Value":[{"00401001":{"vr":"SH","Value":["R1"]},'
    '"00400009":{"vr":"SH","Value":["S1"]}},{"00401001":{"vr":"SH","Value":["R2"]}}]}': (
        "12",
        [("", "R2"), ("S1", "R1")],
    ),
    '"00400275":{"vr":"SQ"}': ("", []),
    # Nested elements are not those of the series.
    '"00400275":{"vr":"SQ","Value":[{"00400245":{"vr":"TM","Value":["07"]},"00400009":{"vr":"SH","Value":["S1"]}}]}': (
        "",
        [("S1", "")],
    ),
    '\x01\x02\x1e"00400275":{"vr":"SQ","Value":[{"00400245":{"vr":"TM","Value":["07"]}}]}': ("", []),
    '\x01\x02\x0708\x1e"00081111":{"vr":"SQ","Value":[{"00400275":{"vr":"SQ","Value":[{"00400009":{"vr":"SH",'
    '"Value":["S1"]}}]},"00400245":{"vr":"TM","Value":["07"]}}]}': ("08", []),
    '"00081111":{"vr":"SQ","Value":[{"00400245":{"vr":"TM","Value":["07"]},"00400275":{"vr":"SQ","Value":[]}}]},'
    '"00400245":{"vr":"TM","Value":["08"]},"00400275":{"vr":"SQ","Value":[{"00401001":{"vr":"SH","Value":["R1"]}}]}': (
        "08",
        [("", "R1")],
    ),
    # Texts are cleaned as those of series that come now.
    '"00400275":{"vr":"SQ","Value":[{"00401001":{"vr":"SH","Value":["RP\\t1"]}}]}': ("", [("", "RP 1")]),
    "\x01\x0710\x7f11\x8012": ("101112", []),
    f"\x01\x07{'1' * 2000}": ("1" * 64, []),
    '"00400245":{"vr":"PN","Value":[{"Alphabetic":"09"}]}': ("09", []),
    '"00400245":{"vr":"SQ","Value":[{}]}': ("", []),
    # Several values of one id, each of which must be found.
    '"00400275":{"vr":"SQ","Value":[{"00400009":{"vr":"SH","Value":["S1",null,"S2"]},'
    '"00401001":{"vr":"SH","Value":["R1","R2"]}}]}': ("", [("S1", "R1"), ("S1", "R2"), ("S2", "R1"), ("S2", "R2")]),
    '"00400275":{"vr":"SQ","Value":[{"00400009":{"vr":"PN","Value":[{"Alphabetic":"A"}]}}]}': ("", []),
    # What was never written like this has no keys, and its neighbours have theirs.
    '"00400275":{"vr":"SQ","Value":null},"00400245":{"vr":"TM","Value":["08"]}': ("08", []),
    '"00400275":{"vr":"SQ","Value":[{"00400009":5},{"00400009":{"Value":["S1"]}}]}': ("", [("S1", "")]),
    '"00400275":5,"00400245":6': ("", []),
    '"00400275":{"vr":"SQ","Value":"text"},"00400245":{"vr":"TM","Value":null}': ("", []),
    f'"00400275":{{"vr":"SQ","Value":{"[" * 100_000}': ("", []),
    "\x01\x02\x0711\x1d\x1b2": ("11", []),
    '"00400275":{"vr"': ("", []),
    "": ("", []),
}


def test_an_operation_that_had_begun_counts_from_here_on(tmp_path: Path) -> None:
    """What had passed before is not known. No other row of it changes."""
    path = tmp_path / "index.sqlite"
    with closing(index_of_schema(path, "0013")) as connection:
        connection.executescript(_ROWS)
        connection.execute("UPDATE operation SET success = 3, failure = 1, runner = ?, attempt = 1", (RUNNER,))
        connection.commit()
        before = connection.execute("SELECT * FROM operation").fetchall()
    index = SqlIndex(f"sqlite:///{path}")
    with index.database.read() as read:
        assert [tuple(row) for row in read.exec_driver_sql("SELECT * FROM operation")] == [
            (*row, 0, 0, "", 0) for row in before
        ]
    under_way = index.operations.get_operation(OperationName(STORE.parent, 7))
    assert under_way.transfer == Transfer()
    index.operations.commit_batch(under_way, RUNNER, Batch("a", success=1, transfer=Transfer(1 << 40, 2)))
    now = index.operations.get_operation(under_way.name)
    assert (now.counter, now.transfer) == (ProgressCounter(0, 4, 1), Transfer(1 << 40, 2))
    index.close()


def test_series_say_when_they_began_and_what_was_requested(tmp_path: Path) -> None:
    """From what rows have: nobody has to read the headers again, and no search lacks a series until then."""
    path = tmp_path / "index.sqlite"
    with closing(index_of_schema(path, "0012")) as connection:
        connection.executescript(_ROWS)
        connection.execute("DELETE FROM operation")
        connection.executemany(
            "INSERT INTO series (id, study_id, store_id, series_instance_uid, members) VALUES (?, 1, 1, ?, ?)",
            [(number, f"7.{number}", members) for number, members in enumerate(_SAID, 10)],
        )
        connection.commit()
    index = SqlIndex(f"sqlite:///{path}")
    with index.database.read() as read:
        for number, (members, (time, requests)) in enumerate(_SAID.items(), 10):
            row = read.execute(select(series).where(series.c.id == number)).one()
            assert row.start_time == time, members
            assert read_start_time(series_said(row).members) == time
            found = read.execute(select(series_request).where(series_request.c.series_id == number)).all()
            assert [tuple(each) for each in found] == [(number, *pair, 1) for pair in requests], members
            assert {tuple(each)[1:3] for each in found} == set(list_requests(series_said(row).members)), members
    index.close()


def test_a_row_that_is_no_text_has_no_keys_and_all_others_have_theirs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "index.sqlite"
    with closing(index_of_schema(path, "0012")) as connection:
        connection.executescript(_ROWS)
        connection.execute("DELETE FROM operation")
        for number, members in ((1, b"\x01\x02\x07\x12\xff"), (2, b"\x01\x02\x0712"), (3, b'\xff"00400275":{')):
            connection.execute("UPDATE series SET members = CAST(? AS TEXT) WHERE id = ?", (members, number))
        connection.commit()
    index = SqlIndex(f"sqlite:///{path}")
    with index.database.read() as read:
        rows = read.exec_driver_sql("SELECT id, start_time FROM series ORDER BY id").all()
    assert list(map(tuple, rows)) == [(1, ""), (2, "12"), (3, ""), (4, "")]
    index.close()


def test_a_row_that_cannot_be_read_is_named_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "index.sqlite"
    with closing(index_of_schema(path, "0012")) as connection:
        connection.executescript(_ROWS)
        connection.execute("DELETE FROM operation")
        connection.execute("UPDATE series SET members = char(1) || char(7) || '1' || id")
        connection.commit()

    def read(members: str) -> str:
        if "12" in members:
            raise KeyError(members)
        return read_start_time(members)

    monkeypatch.setattr("gantry.index.requests.read_start_time", read)
    index = SqlIndex(f"sqlite:///{path}")
    with index.database.read() as connection_read:
        rows = connection_read.exec_driver_sql("SELECT id, start_time FROM series ORDER BY id").all()
    assert list(map(tuple, rows)) == [(1, "11"), (2, ""), (3, "13"), (4, "14")]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "series 2 is found neither by its start time nor by its requests"
    ]
    index.close()


@pytest.mark.parametrize("step", ["create_table", "execute", "create_index"])
def test_an_upgrade_that_is_interrupted_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "index.sqlite"
    with closing(index_of_schema(path, "0009")) as connection:
        connection.executescript(_ROWS)

    def end(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(op, step, end)
        SqlIndex(f"sqlite:///{path}")
    index = SqlIndex(f"sqlite:///{path}")
    with index.database.read() as read:
        audit(read)
    index.close()


def test_long_terms_are_cut_and_found(tmp_path: Path) -> None:
    """Two that have the same beginning are one then."""
    path = tmp_path / "index.sqlite"
    long = "n" * 600
    with closing(index_of_schema(path, "0014")) as connection:
        connection.executescript(_ROWS)
        connection.execute("UPDATE study SET patient_name = ? WHERE id = 1", (f"{long}^{long}",))
        texts = [(1, 1, f"{long}^{long}", 1), (1, 2, long, 1), (1, 2, f"{long}x", 1), (1, 2, "doe", 1)]
        connection.executemany("INSERT INTO study_term VALUES (?, ?, ?, ?)", texts)
        connection.commit()
    with closing(SqlIndex(f"sqlite:///{path}")) as index, index.database.read() as read:
        terms = read.exec_driver_sql("SELECT kind, term FROM study_term ORDER BY 1, 2").all()
    assert [tuple(each) for each in terms] == [(1, "n" * 500), (2, "doe"), (2, "n" * 500)]


@pytest.fixture(params=["sqlite", "postgresql"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an index of schema 0015."""
    url = f"sqlite:///{tmp_path / 'index.sqlite'}"
    databases = request.getfixturevalue("databases") if request.param == "postgresql" else None
    made = databases.make() if databases is not None else None
    if made is not None:
        url = to_text(made)
    upgrade_to(url, "0015")
    yield url
    if databases is not None:
        databases.drop(made)


_CODE = "".join(map(chr, range(0x20000, 0x2012C)))
"""300 characters of four bytes."""
_DELETED = """
INSERT INTO dicom_store (id, dataset_id, store, settings, deleted, removed_from) VALUES (3, 1, 'gone', '{}', true, 1);
UPDATE study SET store_id = 3 WHERE id = 2;
UPDATE series SET store_id = 3 WHERE study_id = 2
"""


def test_long_codes_are_cut_and_found(older: str) -> None:
    """Modalities that have the same beginning are one then. What was deleted stays without what finds it."""
    engine = create_engine(older)
    with engine.begin() as connection:
        for each in filter(str.strip, f"{_ROWS};{_DELETED}".replace("x''", "''").split(";")):
            connection.exec_driver_sql(each)
        rows = [(1, f"{_CODE}a\\CT"), (2, f"{_CODE}b"), (3, _CODE)]
        for number, modality in rows:
            values = {"number": str(number), "modality": modality, "date": f"2001{_CODE}"}
            changed = "UPDATE series SET modality = :modality, start_date = :date WHERE id = CAST(:number AS bigint)"
            connection.execute(text(changed), values)
        every, date = ["CT", f"{_CODE}a", f"{_CODE}b"], f"2000{_CODE}"
        values = {"date": date, "joined": "\\".join(every)}
        connection.execute(text("UPDATE study SET study_date = :date, modalities = :joined WHERE id = 1"), values)
        for modality in every:
            values = {"modality": modality, "date": date}
            connection.execute(text("INSERT INTO study_modality VALUES (1, :modality, :date, 1)"), values)
    engine.dispose()
    begins = _CODE[:MAX_CODE]
    with closing(SqlIndex(older)) as index:
        with index.database.read() as read:
            modalities = read.exec_driver_sql("SELECT * FROM study_modality").all()
            said = read.exec_driver_sql("SELECT modalities FROM study WHERE id = 1").scalar()
            starts = set(read.exec_driver_sql("SELECT start_date FROM series WHERE modality <> ''").scalars())
        assert [tuple(each) for each in modalities] == [(1, begins, f"2000{begins}"[:MAX_CODE], 1)]
        assert said == begins and starts == {f"2001{begins}"[:MAX_CODE]}
        for field, value in (("modalities_in_study", f"{_CODE}a"), ("study_date", f"2000{_CODE}")):
            found = index.search.search_studies(STORE, query(Level.STUDY, (field, Operator.EQUALS, value), limit=9))
            assert [each.study_instance_uid for each in found] == ["1.2"]


def test_an_index_without_long_codes_keeps_its_rows(older: str) -> None:
    engine = create_engine(older)
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO study_modality VALUES (1, 'CT', '20000101', 1)")
    engine.dispose()
    with closing(SqlIndex(older)) as index, index.database.read() as read:
        assert tuple(read.exec_driver_sql("SELECT * FROM study_modality").one()) == (1, "CT", "20000101", 1)
