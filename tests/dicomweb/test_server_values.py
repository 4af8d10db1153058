"""What a server says of itself and of its counts is never read from a file (PS3.18 Tables 10.6.3-3 to -5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.web import Web, value

STUDY, SERIES = "1.2", "1.2.1"
STORED = {
    "RetrieveURL": "http://elsewhere.invalid/x",
    "InstanceAvailability": "OFFLINE",
    "AvailableTransferSyntaxUID": "1.2.3.4",
    "NumberOfStudyRelatedSeries": 55,
    "NumberOfStudyRelatedInstances": 66,
    "NumberOfSeriesRelatedInstances": 77,
    "ModalitiesInStudy": ["CT", "MR"],
}
COUNTS = {"00201206": 2, "00201208": 3, "00201209": 2, "00080061": "OT"}
PATHS = ("instances", f"studies/{STUDY}/instances", f"studies/{STUDY}/series/{SERIES}/instances")
FIELDS = ["all", *COUNTS, "00081190", "00080056", "00083002", ",".join(COUNTS), "00081190,00080056,00083002,00080005"]


@pytest.fixture(params=["stored", "not stored"])
def web(gantry: Gantry, request: pytest.FixtureRequest) -> Web:
    made = Web(gantry)
    said: dict[str, Any] = STORED if request.param == "stored" else {}
    for uids in ((STUDY, SERIES, "1.2.1.1"), (STUDY, SERIES, "1.2.1.2"), (STUDY, "1.2.2", "1.2.2.1")):
        made.stored(instance(uids, Modality="OT", **said))
    return made


def parse_once(text: str) -> Any:
    """JSON without a key that is there twice."""

    def read(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs), [key for key, _ in pairs]
        return dict(pairs)

    return json.loads(text, object_pairs_hook=read)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("path", PATHS)
def test_searches_for_instances_say_what_is_true(web: Web, path: str, field: str) -> None:
    answer = web.get(f"{path}?includefield={field.replace(',', '&includefield=')}")
    assert answer.status_code == 200
    for found in parse_once(answer.text):
        assert "elsewhere.invalid" not in answer.text and "OFFLINE" not in answer.text
        assert value(found, "00080056") == "ONLINE"
        assert value(found, "00081190").endswith(f"/instances/{value(found, '00080018')}")
        if "00083002" in found:
            assert value(found, "00083002") == "1.2.840.10008.1.2.1"
        truth = COUNTS | ({"00201209": 1} if value(found, "0020000E") != SERIES else {})
        for tag, count in truth.items():
            if field == "all" or tag in field or tag in found:
                assert found[tag]["Value"] == [count], tag


@pytest.mark.parametrize("path", ["studies", "series", f"studies/{STUDY}/series"])
@pytest.mark.parametrize("field", FIELDS)
def test_searches_for_studies_and_series_do_too(web: Web, path: str, field: str) -> None:
    answer = web.get(f"{path}?includefield={field.replace(',', '&includefield=')}")
    for found in parse_once(answer.text):
        for tag, count in COUNTS.items():
            if tag in found and tag != "00201209":
                assert found[tag]["Value"] == [count]
    assert "elsewhere.invalid" not in answer.text
