"""A hospital to look at: a server with studies, operations and buckets, made from files that pydicom ships."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pydicom

from tests.dicomweb.instances import packaged
from tests.support.gantry import Gantry
from tests.support.replicas import start_server
from tests.support.server import Json

STUDIES = (
    ("Ferreira^Ana", "CT", "CT thorax with contrast", "CT_small.dcm", "20240118"),
    ("Lindqvist^Erik", "MR", "MR knee left", "MR_small.dcm", "20240216"),
    ("Okafor^Chidi", "US", "Echocardiography", "examples_ybr_color.dcm", "20240302"),
    ("Moreau^Camille", "MR", "MR abdomen", "examples_overlay.dcm", "20240305"),
    ("Wang^Xiaoming=王^小明", "CT", "CT abdomen", "CT_small.dcm", "20240411"),
    ("Rossi^Giulia", "US", "US abdomen", "examples_palette.dcm", "20240412"),
    ("Haddad^Leila", "US", "US thyroid", "examples_rgb_color.dcm", "20240503"),
    ("Schmidt^Jonas", "MR", "MR lumbar spine", "MR_small_RLE.dcm", "20240521"),
)
TABLE = "p.hospital.instances"
QUERY = (
    "SELECT StudyInstanceUID, SeriesInstanceUID, Modality, PatientID, `Rows`, ImageType\n"
    f"FROM `{TABLE}`\nORDER BY StudyInstanceUID"
)
POLICY = (
    ("roles/healthcare.dicomViewer", ("user:guest@example.org",)),
    ("roles/healthcare.dicomViewer", ("user:ana.ferreira@example.org", "group:radiologists")),
    ("roles/healthcare.dicomEditor", ("user:joao.cardoso@example.org", "serviceAccount:pacs@example.org")),
    ("roles/healthcare.dicomStoreAdmin", ("user:joao.cardoso@example.org",)),
)
"""Of the store; the first binding has a condition."""

HEART = 2  # the study that is a film


def uids(study: int, instance: int = 1) -> tuple[str, str, str]:
    return f"1.2.826.0.1.{study + 1}", f"1.2.826.0.1.{study + 1}.1", f"1.2.826.0.1.{study + 1}.1.{instance}"


def file(study: int, instance: int) -> bytes:
    """One instance, with the pixels of the packaged file as they are."""
    name, modality, description, source, date = STUDIES[study]
    ds = pydicom.dcmread(BytesIO(packaged(source)))
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID, ds.AccessionNumber = name, f"P-{1040 + 7 * study}", f"A{90210 + study}"
    ds.PatientBirthDate, ds.PatientSex, ds.ReferringPhysicianName = (
        "19710923",
        "F" if study % 2 == 0 else "M",
        "Novak^Petra",
    )
    if modality == "CT":
        ds.WindowCenter, ds.WindowWidth = 60, 400
    ds.Modality, ds.StudyDescription, ds.StudyDate, ds.StudyTime = modality, description, date, "101500"
    ds.SeriesDescription, ds.SeriesNumber, ds.InstanceNumber = description.split()[0] + " series", 1, instance
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = uids(study, instance)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


class Scene:
    """``failed`` is an import in which some objects were refused, ``exported`` a clean export. ``config`` is a file of
    settings."""

    def __init__(self, home: Path, config: Path | None = None) -> None:
        tables = {"GANTRY_BIGQUERY": f"p={home / 'tables'}", "GANTRY_AUDIT_LOG": str(home / "audit.jsonl")}
        (home / "tables").mkdir()
        env = tables | ({"GANTRY_CONFIG": str(config)} if config else {})
        self.server = start_server(home / "data", home / "buckets", env=env)
        gantry = Gantry(self.server)
        self.dataset = gantry.dataset.replace(gantry.dataset_id, "hospital")
        self.store = self.server.create_store("hospital", "radiology")
        gantry.call("DELETE", f"v1/{gantry.dataset}")
        self.gantry = gantry
        for unused in (gantry.bucket, gantry.out):  # their names differ each time
            (self.server.buckets / unused).rmdir()
        gantry.make_bucket("incoming")
        gantry.make_bucket("exports")
        for study in range(len(STUDIES)):
            for instance in range(1, 5):
                gantry.put("incoming", f"2024/study-{study + 1}/{instance}.dcm", file(study, instance))
        gantry.put("incoming", "2024/readme.txt", b"These are the studies of 2024.\n")
        gantry.put("incoming", "2024/study-1/cover.pdf", b"%PDF-1.4")
        gantry.call("PATCH", f"v1/{self.store}?updateMask=labels", json={"labels": {"team": "radiology"}})
        self.failed = gantry.import_("gs://incoming/2024/**", store=self.store)["name"]
        self.exported = gantry.export("gs://exports/research", store=self.store)["name"]

        self.set_policy(self.store, *POLICY)
        self.set_policy(self.dataset, ("roles/healthcare.datasetAdmin", ("user:ines.tavares@example.org",)))
        body = {"bigqueryDestination": {"tableUri": f"bq://{TABLE}"}}
        gantry.wait(gantry.call("POST", f"v1/{self.store}:export", json=body)["name"])
        self.queried, self.wrong = self.query(QUERY), self.query(QUERY.replace("StudyI", "StudioI"))

    def set_policy(self, resource: str, *bindings: tuple[str, tuple[str, ...]]) -> None:
        made: list[Json] = [{"role": role, "members": members} for role, members in bindings]
        made[0]["condition"] = {"title": "until 2030", "expression": 'request.time < timestamp("2030-01-01T00:00:00Z")'}
        self.gantry.call("POST", f"v1/{resource}:setIamPolicy", json={"policy": {"bindings": made}})

    def query(self, text: str) -> str:
        """The id of a query that has ended."""
        client = self.server.client
        answer = client.post("/bigquery/v2/projects/p/queries", json={"query": text, "useLegacySql": False})
        if answer.status_code == 200:
            return str(answer.json()["jobReference"]["jobId"])
        jobs = client.get("/bigquery/v2/projects/p/jobs").json()["jobs"]
        return str(jobs[0]["jobReference"]["jobId"])

    def pages(self) -> dict[str, str]:
        """Name → address of every page that a person looks at."""
        study, series, instance = uids(HEART)
        store, dataset = f"console/{self.store}", f"console/{self.dataset}"
        at_series = f"{store}/studies/{study}/series/{series}"
        return {
            "datasets": "console/",
            "dataset-create": "console/create",
            "stores": dataset,
            "dataset-edit": f"{dataset}/edit",
            "dataset-delete": f"{dataset}/delete",
            "operations": f"{dataset}/operations",
            "operation": f"console/{self.exported}",
            "operation-errors": f"console/{self.failed}",
            "store-create": f"{dataset}/create",
            "store": store,
            "store-edit": f"{store}/edit",
            "store-delete": f"{store}/delete",
            "import": f"{store}/import?uri=gs%3A%2F%2Fincoming%2F2024%2F**.dcm",
            "export": f"{store}/export",
            "upload": f"{store}/upload",
            "studies": f"{store}/studies",
            "study": f"{store}/studies/{study}",
            "study-delete": f"{store}/studies/{study}/delete",
            "series": at_series,
            "instance": f"{at_series}/instances/{instance}",
            "storage-class-file": f"{store}/storage-class/file",
            "query": f"{store}/query",
            "query-result": f"{store}/query/{self.queried}?chart=Modality",
            "query-wrong": f"{store}/query/{self.wrong}",
            "store-buckets": f"{store}/buckets",
            "store-access": f"{store}/access",
            "dataset-access": f"{dataset}/access",
            "access-change": f"{store}/access/change?kind=user&name=ana.ferreira@example.org"
            "&role=roles/healthcare.dicomEditor",
            "access": "console/access",
            "buckets": "console/buckets",
            "audit": "console/audit",
            "disk": "console/disk",
            "settings": "console/settings",
            "not-found": "console/nothing",
        }
