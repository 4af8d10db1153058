"""An index of the schema before this one, with rows in it, is brought up to date when it is opened."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import op

from gantry.index.sql import SqlIndex
from gantry.names import ResourcePath
from gantry.resources import Method
from tests.faults.older import index_of_schema
from tests.index.audit import audit
from tests.index.values import STORE

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


@pytest.mark.parametrize("step", ["create_table", "execute"])
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
