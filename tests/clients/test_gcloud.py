"""gcloud healthcare, unmodified: exit codes and whole outputs (§13, §17.11)."""

from __future__ import annotations

import json

import pytest

from tests.clients.gcloud import Gcloud
from tests.support.answers import refused
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import Json, counts


def without_times(operation: Json) -> Json:
    """An operation with what differs from run to run taken out."""
    metadata = {key: value for key, value in operation["metadata"].items() if key not in ("createTime", "endTime")}
    return operation | {"metadata": metadata}


def expected_operation(gantry: Gantry, name: str, kind: str, version: str, counter: dict[str, str]) -> Json:
    package = f"google.cloud.healthcare.{version}"
    return {
        "name": name,
        "metadata": {
            "@type": f"type.googleapis.com/{package}.OperationMetadata",
            "apiMethodName": f"{package}.dicom.DicomService.{kind}",
            "logsUrl": f"{gantry.server.url}/logs/{name}",
            "counter": counter,
        },
        "done": True,
        "response": {"@type": f"type.googleapis.com/{package}.dicom.{kind}Response"},
    }


def waited_for(err: str) -> str:
    """The operation that gcloud says it waited for."""
    return err.partition("Waiting for operation [")[2].partition("]")[0]


@pytest.mark.slow
def test_datasets(gantry: Gantry, gcloud: Gcloud) -> None:
    """create, list, describe, update, delete"""
    new = f"{gantry.dataset_id}-new"
    name = f"{gantry.location}/datasets/{new}"
    created = gcloud("datasets", "create", new, "--time-zone=UTC", "--format=json")
    assert created.code == 0, created.err
    assert f"Created dataset [{new}]" in created.err
    assert gantry.call("GET", f"v1/{name}") == {"name": name, "timeZone": "UTC"}

    listed = gcloud("datasets", "list", "--page-size=50", "--format=json").json
    assert [item for item in listed if item["name"].startswith(gantry.dataset)] == [
        {"name": gantry.dataset},
        {"name": name, "timeZone": "UTC"},
    ]
    described = gcloud("datasets", "describe", new)
    assert (described.code, described.out) == (0, f"name: {name}\ntimeZone: UTC\n")

    updated = gcloud("datasets", "update", new, "--time-zone=America/New_York", "--format=json")
    assert updated.json == {"name": name, "timeZone": "America/New_York"}

    deleted = gcloud("datasets", "delete", new, "--quiet")
    assert deleted.code == 0, deleted.err
    refused(gantry.request("GET", f"v1/{name}"), "NOT_FOUND")


@pytest.mark.slow
def test_errors_are_shown_in_the_words_of_the_server(gantry: Gantry, gcloud: Gcloud) -> None:
    """§1.19"""
    result = gcloud("datasets", "describe", f"{gantry.dataset_id}-missing")
    assert result.code == 1
    assert f"NOT_FOUND: dataset {gantry.dataset}-missing does not exist" in result.err


@pytest.mark.slow
def test_dicom_stores(accepting: Gantry, accepting_gcloud: Gcloud) -> None:
    """create, update, list, describe, delete; on a server that keeps what it does not act on"""
    gantry, gcloud = accepting, accepting_gcloud
    name = f"{gantry.dataset}/dicomStores/new"
    dataset = f"--dataset={gantry.dataset_id}"
    created = gcloud("dicom-stores", "create", "new", dataset)
    assert created.code == 0, created.err
    assert gantry.call("GET", f"v1/{name}")["name"] == name

    updated = gcloud(
        "dicom-stores", "update", "new", dataset,
        "--pubsub-topic=projects/p/topics/t", "--stream-configs=bq://p.d.t1,bq://p.d.t2", "--format=json",
    )  # fmt: skip
    expected = {
        "name": name,
        "notificationConfig": {"pubsubTopic": "projects/p/topics/t"},
        "streamConfigs": [
            {"bigqueryDestination": {"tableUri": "bq://p.d.t1"}},
            {"bigqueryDestination": {"tableUri": "bq://p.d.t2"}},
        ],
    }
    assert updated.json == expected
    assert gcloud("dicom-stores", "list", dataset, "--format=json").json == [expected, {"name": gantry.store}]
    assert gcloud("dicom-stores", "describe", name, "--format=json").json == expected, "by full name, §2.8"

    deleted = gcloud("dicom-stores", "delete", "new", dataset, "--quiet")
    assert deleted.code == 0, deleted.err
    refused(gantry.request("GET", f"v1/{name}"), "NOT_FOUND")


@pytest.mark.slow
def test_import_and_describe_as_the_pages_show_them(gantry: Gantry, gcloud: Gcloud) -> None:
    """§17.11: the import prints the store; operations describe prints the finished operation."""
    gantry.put(gantry.bucket, "d/a.dcm", make_instance())
    gantry.put(gantry.bucket, "d/e/b.dcm", make_instance())
    dataset = f"--dataset={gantry.dataset_id}"
    result = gcloud("dicom-stores", "import", "gcs", "store", dataset, f"--gcs-uri=gs://{gantry.bucket}/d/**.dcm")
    assert result.code == 0, result.err
    assert result.out == f"name: {gantry.store}\n"
    assert "Request issued for: [store]" in result.err
    name = waited_for(result.err)
    assert len(gantry.stored()) == 2

    described = gcloud("operations", "describe", name.rpartition("/")[2], dataset, "--format=json").json
    expected = expected_operation(gantry, name, "ImportDicomData", "v1", {"success": "2"})
    assert without_times(described) == expected
    as_text = gcloud("operations", "describe", name.rpartition("/")[2], dataset).out
    times = described["metadata"]
    assert as_text == (
        "done: true\n"
        "metadata:\n"
        "  '@type': type.googleapis.com/google.cloud.healthcare.v1.OperationMetadata\n"
        "  apiMethodName: google.cloud.healthcare.v1.dicom.DicomService.ImportDicomData\n"
        "  counter:\n"
        "    success: '2'\n"
        f"  createTime: '{times['createTime']}'\n"
        f"  endTime: '{times['endTime']}'\n"
        f"  logsUrl: {gantry.server.url}/logs/{name}\n"
        f"name: {name}\n"
        "response:\n"
        "  '@type': type.googleapis.com/google.cloud.healthcare.v1.dicom.ImportDicomDataResponse\n"
    )


@pytest.mark.slow
def test_an_import_with_a_bad_file_exits_1_and_prints_the_status(gantry: Gantry, gcloud: Gcloud) -> None:
    """§13.2, §17.6: through gcloud beta, so under v1beta1."""
    gantry.put(gantry.bucket, "a.dcm", make_instance())
    uri = gantry.put(gantry.bucket, "b.dcm", b"not DICOM")
    result = gcloud(
        "dicom-stores", "import", "gcs", "store", f"--dataset={gantry.dataset_id}",
        f"--gcs-uri=gs://{gantry.bucket}/*.dcm", track="beta",
    )  # fmt: skip
    assert result.code == 1
    (operation,) = gantry.operations()
    assert operation["metadata"]["@type"].endswith(".v1beta1.OperationMetadata")
    assert counts(operation) == (1, 1)
    assert uri in result.err
    assert json.dumps(operation["error"]["code"]) in result.err


@pytest.mark.slow
def test_export(gantry: Gantry, gcloud: Gcloud) -> None:
    """§17.11"""
    gantry.put(gantry.bucket, "a.dcm", make_instance("1.2", "1.3", "1.4"))
    gantry.import_("a.dcm")
    result = gcloud(
        "dicom-stores", "export", "gcs", "store", f"--dataset={gantry.dataset_id}",
        f"--gcs-uri-prefix=gs://{gantry.out}/d", "--mime-type=application/dicom",
    )  # fmt: skip
    assert (result.code, result.out) == (0, f"name: {gantry.store}\n"), result.err
    assert gantry.objects(gantry.out).keys() == {"d/1.2/1.3/1.4.dcm"}


@pytest.mark.slow
def test_metrics(gantry: Gantry, gcloud: Gcloud) -> None:
    """§4.2.7"""
    data = make_instance("1.2", "1.3", "1.4")
    gantry.put(gantry.bucket, "a.dcm", data)
    gantry.import_("a.dcm")
    result = gcloud("dicom-stores", "metrics", "store", f"--dataset={gantry.dataset_id}", "--format=json")
    assert result.code == 0, result.err
    assert (result.json["name"], result.json["instanceCount"]) == (gantry.store, "1")
    assert result.json["blobStorageSizeBytes"] == str(len(data))


@pytest.mark.slow
def test_beta_export_with_a_filter_and_describe_through_ga(gantry: Gantry, gcloud: Gcloud) -> None:
    """§12.4.5, §17.11: GA operations describe shows the v1beta1 metadata of the operation."""
    for study in ("1.2", "1.9"):
        gantry.put(gantry.bucket, f"{study}.dcm", make_instance(study, "1.3", "1.4"))
    gantry.import_("*.dcm")
    uri = gantry.put(gantry.bucket, "filter", b"/studies/1.9\n")
    dataset = f"--dataset={gantry.dataset_id}"
    result = gcloud(
        "dicom-stores", "export", "gcs", "store", dataset, f"--gcs-uri-prefix=gs://{gantry.out}/d",
        f"--filter-config-gcs-uri={uri}", track="beta",
    )  # fmt: skip
    assert (result.code, result.out) == (0, f"name: {gantry.store}\n"), result.err
    assert gantry.objects(gantry.out).keys() == {"d/1.9/1.3/1.4.dcm"}
    name = waited_for(result.err)
    described = gcloud("operations", "describe", name, "--format=json").json
    expected = expected_operation(gantry, name, "ExportDicomData", "v1beta1", {"success": "1"})
    assert without_times(described) == expected


@pytest.mark.slow
def test_an_asynchronous_import_is_listed_and_cancelled(gantry: Gantry, gcloud: Gcloud) -> None:
    """§13: --async prints the operation; cancel exists in gcloud alpha only, under v1alpha2."""
    gantry.put(gantry.bucket, "a.dcm", make_instance())
    dataset = f"--dataset={gantry.dataset_id}"
    started = gcloud(
        "dicom-stores", "import", "gcs", "store", dataset, f"--gcs-uri=gs://{gantry.bucket}/a.dcm", "--async",
    )  # fmt: skip
    assert started.code == 0, started.err
    (operation,) = gantry.operations()
    assert started.out == f"name: {operation['name']}\n"
    operation = gantry.wait(operation["name"])

    cancelled = gcloud("operations", "cancel", operation["name"].rpartition("/")[2], dataset, track="alpha")
    assert cancelled.code == 0, cancelled.err
    listed = gcloud("operations", "list", dataset, "--format=json").json
    assert listed == gantry.call("GET", f"v1/{gantry.dataset}/operations")["operations"]
    assert listed[0] == operation
