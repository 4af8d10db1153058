"""Four instances in three series of two studies; the same UIDs occur in several places."""

from __future__ import annotations

from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import Json, counts

Uids = tuple[str, str, str]
A: Uids = ("1.1", "1.1.1", "1.1.1.1")
B: Uids = ("1.1", "1.1.1", "1.1.1.2")
C: Uids = ("1.1", "1.1.2", "1.1.1.1")
D: Uids = ("1.2", "1.1.1", "1.1.1.1")
CONTENT = {uids: make_instance(*uids, pixel_bytes=100 * number) for number, uids in enumerate((A, B, C, D), 1)}


def fill(gantry: Gantry, **body: object) -> Gantry:
    """Import them; ``body`` adds fields to the request."""
    for number, data in enumerate(CONTENT.values()):
        gantry.put(gantry.bucket, f"{number}.dcm", data)
    assert counts(gantry.import_("**", **body)) == (4, 0)
    return gantry


def path(*uids: str) -> str:
    """``studies/…`` as deep as the UIDs go."""
    return "/".join(f"{level}/{uid}" for level, uid in zip(("studies", "series", "instances"), uids, strict=False))


def web(gantry: Gantry, *uids: str, version: str = "v1") -> str:
    """The address of a study, series or instance."""
    return f"{version}/{gantry.store}/dicomWeb/{path(*uids)}"


def storage_info(gantry: Gantry, uids: Uids) -> Json:
    return gantry.call("GET", f"{web(gantry, *uids)}:getStorageInfo")


def classes(gantry: Gantry) -> list[str]:
    """The storage classes of A, B, C and D."""
    return [str(storage_info(gantry, uids)["blobStorageInfo"]["storageClass"]) for uids in CONTENT]


def sizes(*several: Uids) -> Json:
    """The fields of metrics that depend on what is counted: instances, bytes of files, and of headers, which are all
    but the preamble and the pixels."""
    headers = (len(CONTENT[item]) - 132 - 100 * (1 + list(CONTENT).index(item)) for item in several)
    return {
        "instanceCount": str(len(several)),
        "structuredStorageSizeBytes": str(sum(headers)),
        "blobStorageSizeBytes": str(sum(len(CONTENT[item]) for item in several)),
    }


def stored_uids(gantry: Gantry) -> set[Uids]:
    return {(study, series, sop) for study, series, sop in (key.split("/") for key in gantry.stored())}
