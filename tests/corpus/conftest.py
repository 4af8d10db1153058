"""A corpus of public DICOM files: ``GANTRY_CORPUS`` names a directory with manifest.csv, wildcards.csv and data/."""

from __future__ import annotations

import csv
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.gantry import Gantry
from tests.support.server import GantryServer

WHY = "NOT TESTED: GANTRY_CORPUS is not set to a directory with manifest.csv, wildcards.csv and data/"


def corpus() -> Path | None:
    text = os.environ.get("GANTRY_CORPUS", "")
    return Path(text) if text and (Path(text) / "manifest.csv").is_file() else None


def rows(name: str) -> list[dict[str, str]]:
    """The rows of one of the corpus's tables; none without a corpus."""
    directory = corpus()
    if directory is None:
        return []
    with (directory / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and corpus() is None:
            item.add_marker(pytest.mark.skip(reason=WHY))


@pytest.fixture(scope="module")
def corpus_bucket(server: GantryServer) -> str:
    """A bucket with the whole corpus as it lies in data/, and the empty directory that archives do not keep."""
    directory = corpus()
    assert directory is not None
    bucket = f"corpus-{uuid.uuid4().hex[:12]}"
    shutil.copytree(directory / "data", server.buckets / bucket)
    (server.buckets / bucket / "wild/empty-folder").mkdir(exist_ok=True)
    return bucket


@pytest.fixture(scope="module")
def world(server: GantryServer) -> Gantry:
    """As ``gantry``, for all tests of a module."""
    return Gantry(server)
