"""Which projects the page *Audit* asks for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gantry.console.audit import _list_projects
from gantry.index.sql import SqlIndex
from gantry.names import DatasetName
from gantry.resources import Dataset
from tests.support.statements import record_statements


def test_a_project_with_many_datasets_is_one_look(tmp_path: Path) -> None:
    index = SqlIndex(f"sqlite:///{tmp_path / 'index.db'}")
    for number in range(150):
        index.resources.create_dataset(Dataset(DatasetName(f"p{number % 3}", f"l{number % 2}", f"d{number}é")), "v1")
    call: Any = SimpleNamespace(context=SimpleNamespace(seams=SimpleNamespace(index=index)))
    with record_statements(index.database) as statements:
        assert _list_projects(call) == ["p0", "p1", "p2"]
    assert len([each for each in statements if "FROM dataset" in str(each)]) == 4
    index.close()
