"""What holds for every method and every page: system parameters (spec 1.3), HEAD (RFC 9110 §9.3.2), wrong verbs."""

from __future__ import annotations

import httpx
import pytest

from gantry.api.methods import METHODS, OWN
from gantry.api.parameters import SYSTEM
from tests.dicomweb.instances import instance
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.web import Web, uid_path

A = ("1.2.1", "1.2.1.1", "1.2.1.1.1")
ALSO = ("$alt", "$.alt", "$prettyPrint", "upload_type", "uploadProtocol", "pretty_print", "quota_user", "userProject")
WEB = (
    *("studies", "series", "instances", "studies/1.2.1/series", "studies/1.2.1/series/1.2.1.1/instances"),
    *(uid_path(*A[:count]) + tail for count in (1, 2, 3) for tail in ("", "/metadata", "/thumbnail")),
    *(uid_path(*A[:count]) + "/rendered" for count in (1, 2)),
    *(uid_path(*A[:count]) + tail for count in (1, 2, 3) for tail in ("/bulkdata", "/pixeldata")),
    *(f"{uid_path(*A)}/{tail}" for tail in ("rendered", "frames/1", "frames/1/rendered", "bulkdata/7FE00010")),
    f"{uid_path(*A)}:getStorageInfo",
    "studies/1.2.1:getStudyMetrics",
    "studies/1.2.1/series/1.2.1.1:getSeriesMetrics",
)


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    made.stored(instance(A, Rows=64, Columns=64, PixelData=bytes(4096)))
    return made


def api_paths(gantry: Gantry) -> list[str]:
    above = gantry.location.rpartition("/locations/")[0]
    below = ("", ":getIamPolicy")
    return [
        *(f"{above}/locations", gantry.location, f"{gantry.location}/datasets", f"{gantry.dataset}/operations"),
        *(gantry.dataset + end for end in below),
        *(gantry.store + end for end in (*below, ":getDICOMStoreMetrics")),
        f"{gantry.dataset}/dicomStores",
    ]


@pytest.mark.parametrize("name", [*SYSTEM, *ALSO])
def test_a_system_parameter_is_no_attribute_and_no_option(web: Web, name: str) -> None:
    for path in WEB:
        response = web.get(path, params={name: "x"})
        assert response.status_code == 200, f"{path}: {response.text[:500]}"


def same_head(gantry: Gantry, path: str) -> None:
    with httpx.Client(base_url=gantry.server.url) as client:  # one connection: a body would be taken for an answer
        got = client.get(path)
        head = client.head(path)
        again = client.get(path)
    assert head.content == b""
    assert (head.status_code, got.status_code) == (again.status_code, again.status_code), path
    left_out = {"date", "set-cookie", "transfer-encoding"}
    if "boundary=" in got.headers.get("content-type", ""):
        left_out |= {"content-type", "content-length"}
    assert {k: v for k, v in head.headers.items() if k not in left_out} == {
        k: v for k, v in got.headers.items() if k not in left_out
    }, path


@pytest.mark.slow
def test_head_is_get_without_its_body(web: Web) -> None:
    gantry = web.gantry
    paths = [f"/v1/{path}" for path in api_paths(gantry)] + [f"/{web.root}/{path}" for path in WEB]
    paths += [f"/v1/{gantry.store}-none", f"/{web.root}/studies/9.9/metadata", f"/v1/{gantry.store}/none", "/v1"]
    paths += [f"/{web.root}/studies?PatientID=none", "/healthz", "/console/", "/sign-in", "/", "/none"]
    paths += ["/$discovery/rest?version=v1", f"/console/{gantry.store}", "/viewer/"]
    for path in paths:
        same_head(gantry, path)


def test_head_of_what_is_streamed_makes_no_more_than_its_begin(web: Web) -> None:
    """An answer of many pieces: no byte of it is sent, and the connection can be used again."""
    many = [
        instance((A[0], A[1], f"1.2.1.1.{n}"), Rows=1024, Columns=1024, PixelData=bytes(1 << 20)) for n in range(2, 6)
    ]
    web.stored(*many)
    for path in ("studies/1.2.1", f"{uid_path(A[0], A[1], '1.2.1.1.2')}"):
        same_head(web.gantry, f"/{web.root}/{path}")


def test_a_method_has_no_other_verbs(gantry: Gantry) -> None:
    """As Google's front answers them: there is no such method; in DICOMweb as the standard has it (PS3.18 §8.5)."""
    verbs_of: dict[str, set[str]] = {}
    plain = [method for method in METHODS + OWN if ":" not in method.path]  # ids may hold colons, too
    for method in plain:
        verbs_of.setdefault(method.path, set()).add(method.verb)
    for path, verbs in verbs_of.items():
        for verb in {"GET", "POST", "PUT", "PATCH", "DELETE"} - verbs:
            made = path.replace("/**", "/7FE00010").replace("*", "1")
            response = gantry.request(verb, f"v1beta1/{made}")
            if "dicomWeb" in path:
                refused(response, "UNIMPLEMENTED", "no such method", http=405)
                assert set(response.headers["allow"].split(", ")) >= verbs
            else:
                refused(response, "NOT_FOUND")
