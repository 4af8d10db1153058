"""Many clients at once see what one after the other would have seen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import GantryServer, counts


def at_once(count: int, *calls: tuple[Gantry, str, str, dict[str, object]]) -> list[httpx.Response]:
    """Send all requests from ``count`` threads."""
    with ThreadPoolExecutor(count) as pool:
        return [
            done.result() for done in [pool.submit(g.request, verb, path, json=body) for g, verb, path, body in calls]
        ]


def test_of_many_creations_of_one_name_one_succeeds(gantry: Gantry) -> None:
    path = f"v1/{gantry.dataset}/dicomStores?dicomStoreId=new"
    answers = at_once(8, *[(gantry, "POST", path, {})] * 8)
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7


def test_no_patch_undoes_another(gantry: Gantry) -> None:
    """§4.2.3: each names one path in its mask; the others are none of its business."""
    calls = [
        (gantry, "PATCH", f"v1/{gantry.store}?updateMask=labels.k{number}", {"labels": {f"k{number}": "v"}})
        for number in range(40)
    ]
    answers = at_once(8, *calls)
    assert {answer.status_code for answer in answers} == {200}
    assert gantry.call("GET", f"v1/{gantry.store}")["labels"] == {f"k{number}": "v" for number in range(40)}


def test_the_same_import_many_times_at_once_stores_each_instance_once(gantry: Gantry) -> None:
    """§6.2.2"""
    for number in range(60):
        gantry.put(gantry.bucket, f"{number}.dcm", make_instance(sop=f"1.2.{number}"))
    body = {"gcsSource": {"uri": f"gs://{gantry.bucket}/*"}}
    started = at_once(6, *[(gantry, "POST", f"v1/{gantry.store}:import", body)] * 6)
    operations = [gantry.wait(answer.json()["name"]) for answer in started]
    assert [counts(operation) for operation in operations] == [(60, 0)] * 6
    assert len(gantry.stored()) == 60


def test_of_different_content_imported_at_once_one_wins_and_every_loss_is_told(gantry: Gantry) -> None:
    """§6.2.3"""
    for writer in "abcdef":
        for number in range(40):
            data = make_instance(sop=f"1.2.{number}", patient_id=writer)
            gantry.put(gantry.bucket, f"{writer}/{number}.dcm", data)
    calls = [
        (gantry, "POST", f"v1/{gantry.store}:import", {"gcsSource": {"uri": f"gs://{gantry.bucket}/{writer}/*"}})
        for writer in "abcdef"
    ]
    operations = [gantry.wait(answer.json()["name"]) for answer in at_once(6, *calls)]
    assert [sum(counts(operation)) for operation in operations] == [40] * 6
    assert sum(counts(operation)[0] for operation in operations) == 40
    assert len(gantry.stored()) == 40


@pytest.mark.slow
def test_more_operations_than_run_at_once_all_end(gantry: Gantry) -> None:
    gantry.put(gantry.bucket, "a.dcm", make_instance())
    gantry.import_("a.dcm")
    names = [gantry.server.export(gantry.store, f"gs://{gantry.out}/{number}") for number in range(30)]
    assert [counts(gantry.wait(name)) for name in names] == [(1, 0)] * 30
    assert len(gantry.objects(gantry.out)) == 30


@pytest.mark.slow
def test_more_operations_than_a_project_may_have_are_refused(tmp_path: Path) -> None:
    """§1.19: 429, and the words say what to do; other projects have their own number."""
    server = GantryServer(tmp_path / "data", tmp_path / "buckets", env={"GANTRY_MAX_OPERATIONS": "1"})
    try:
        gantry = Gantry(server)
        for number in range(300):
            gantry.put(gantry.bucket, f"{number}.dcm", make_instance("1.2", "1.3", f"1.4.{number}"))
        other = server.create_store("d", "s", project="other")
        body = {"gcsSource": {"uri": f"gs://{gantry.bucket}/*.dcm"}}
        answers = at_once(8, *[(gantry, "POST", f"v1/{gantry.store}:import", body)] * 8)
        refused = [answer for answer in answers if answer.status_code != 200]
        assert refused and len(refused) < 8
        for answer in refused:
            error = answer.json()["error"]
            assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
            assert "not done yet" in error["message"]
        assert server.request("POST", f"v1/{other}:import", json=body).status_code == 200
        for answer in answers:
            if answer.status_code == 200:
                gantry.wait(answer.json()["name"])
        assert counts(gantry.import_("*.dcm")) == (300, 0)
    finally:
        server.stop()
